"""A bill of materials (CycloneDX 1.6, JSON) of an image: its Python distributions and its Debian packages.

    python images/sbom.py wanted.txt     by the interpreter that the image runs; the file's first line names the project

Written from the metadata that pip and dpkg left, so it names what is there and not what was asked for. It holds no time and
no serial number: the same image has the same bill.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any


def python_packages() -> list[dict[str, Any]]:
    """One component per distribution on the interpreter's path."""
    return [_python(found) for found in importlib.metadata.distributions()]


def _python(found: importlib.metadata.Distribution) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
    told = found.metadata.get("License-Expression") or found.metadata.get("License") or ""
    first = told.strip().splitlines()[0][:80] if told.strip() else ""
    return _component(name, found.version, f"pkg:pypi/{name}@{found.version}", first)


def debian_packages() -> list[dict[str, Any]]:
    """One component per installed Debian package; none on a system without dpkg."""
    try:
        query = ["dpkg-query", "--show", "--showformat", "${Package}\t${Version}\t${Architecture}\n"]
        told = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    rows = (line.split("\t") for line in told.splitlines())
    return [_component(name, version, f"pkg:deb/debian/{name}@{version}?arch={arch}", "") for name, version, arch in rows]


def _component(name: str, version: str, purl: str, licence: str) -> dict[str, Any]:
    known = {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
    return known | ({"licenses": [{"license": {"name": licence}}]} if licence else {})


def document(project: str) -> dict[str, Any]:
    """The bill of an image of `project`, "name==version"; components sorted, each once."""
    name, _, version = project.partition("==")
    ours = _component(name, version, f"pkg:pypi/{name}@{version}", "Apache-2.0")
    found = {one["purl"]: one for one in [ours, *python_packages(), *debian_packages()]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version}},
        "components": [found[purl] for purl in sorted(found)],
    }


if __name__ == "__main__":
    first = Path(sys.argv[1]).read_text("utf-8").splitlines()[0]
    json.dump(document(first.removeprefix("# ")), sys.stdout, indent=1)
