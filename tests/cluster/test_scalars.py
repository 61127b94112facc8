"""An unquoted scalar where a text must stand: the API server takes those that we read as texts, and refuses the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.test_manifests import Kubectl, kubectl
from tests.filters.test_scalars import ALIKE, OTHERWISE

__all__ = ["kubectl"]

pytestmark = pytest.mark.cluster
OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: scalar-{number}, namespace: default}}\ndata:\n  value: {scalar}\n"


def test_the_api_server_reads_scalars_as_the_table_says(kubectl: Kubectl) -> None:
    """A server-side dry run of an object for each; null is left out, an empty text there, and a dash, which begins a list."""
    known = {scalar: value for scalar, value in {**ALIKE, **OTHERWISE}.items() if value is not None and scalar != "-"}
    objects = [OBJECT.format(number=number, scalar=scalar) for number, scalar in enumerate(known)]
    answer = kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin="---\n".join(objects), fails=True)
    found, end = list[Any](), json.JSONDecoder()
    text = answer.stdout.strip()
    while text:
        item, length = end.raw_decode(text)
        found, text = [*found, *item.get("items", [item])], text[length:].lstrip()
    names = {f"scalar-{number}": scalar for number, scalar in enumerate(known)}
    taken = {names[item["metadata"]["name"]]: item["data"]["value"] for item in found}
    assert taken == {scalar: value for scalar, value in known.items() if isinstance(value, str)}
    assert answer.stderr.count("cannot unmarshal") == len(known) - len(taken), answer.stderr
