"""`python -m tests.cluster.killed N …`: `distillery …` whose process dies right after its N-th write, which it names.

A write is a request to Kubernetes or Kubeflow that changes something, or an object that is put into the store.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import kfp_server_api.rest
import kubernetes.client.rest

from distillery.components.store.layout import is_probe
from distillery.components.store.s3_objects import S3Objects

KILLED = 137


def fused(made: Callable[..., Any], what: Callable[..., str]) -> Callable[..., Any]:
    """A function that ends the process once it was called as a write, N times over all that are fused."""

    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        global left
        done = made(self, *arguments, **named)
        if told := what(*arguments):
            left -= 1
            if not left:
                print(f"killed after {told}", file=sys.stderr, flush=True)
                os._exit(KILLED)
        return done

    return call


def request(method: str, url: str, *_: Any) -> str:
    """The request, where it changes something."""
    return "" if method in ("GET", "HEAD", "OPTIONS") else f"{method} {urlsplit(url).path}"


if __name__ == "__main__":
    left = int(sys.argv[1])
    for client in (kubernetes.client.rest.RESTClientObject, kfp_server_api.rest.RESTClientObject):
        client.request = fused(client.request, request)
    S3Objects._put = fused(S3Objects._put, lambda key, *_: "" if is_probe(key) else f"put {key}")  # type: ignore[method-assign]
    sys.argv = ["distillery", *sys.argv[2:]]
    from distillery.pipelines.cli.main import main

    main()
