"""A bill of materials (CycloneDX 1.6, JSON) of an image: its Python distributions and its Debian packages.

    python images/sbom.py wanted.txt     by the interpreter that the image runs; the file's first line names the project

Written from the metadata that pip and dpkg left, so it names what is there and not what was asked for. It holds no time and
no serial number: the same image has the same bill. The CLI of cyclonedx-bom lists Python distributions only, and would have to
be installed in the build: the list of Debian packages and the joining of both would remain here.
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
    """List the Python distributions on the interpreter's path.

    Returns:
        A component for each.
    """
    return [_python(each) for each in importlib.metadata.distributions()]


def _python(distribution: importlib.metadata.Distribution) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
    licence = distribution.metadata.get("License-Expression") or distribution.metadata.get("License") or ""
    first = licence.strip().splitlines()[0][:80] if licence.strip() else ""
    return _component(name, distribution.version, f"pkg:pypi/{name}@{distribution.version}", first)


def debian_packages() -> list[dict[str, Any]]:
    """List the installed Debian packages.

    Returns:
        A component for each; none on a system without dpkg.
    """
    try:
        query = ["dpkg-query", "--show", "--showformat", "${Package}\t${Version}\t${Architecture}\n"]
        listing = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    rows = (line.split("\t") for line in listing.splitlines())
    return [_component(name, version, f"pkg:deb/debian/{name}@{version}?arch={arch}", "") for name, version, arch in rows]


def _component(name: str, version: str, purl: str, licence: str) -> dict[str, Any]:
    known = {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
    return known | ({"licenses": [{"license": {"name": licence}}]} if licence else {})


def document(project: str) -> dict[str, Any]:
    """Return the bill of materials.

    Args:
        project: "name==version".

    Returns:
        The document; its components are sorted, each is listed once.
    """
    name, _, version = project.partition("==")
    ours = _component(name, version, f"pkg:pypi/{name}@{version}", "Apache-2.0")
    components = {one["purl"]: one for one in [ours, *python_packages(), *debian_packages()]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version}},
        "components": [components[purl] for purl in sorted(components)],
    }


if __name__ == "__main__":
    first = Path(sys.argv[1]).read_text("utf-8").splitlines()[0]
    json.dump(document(first.removeprefix("# ")), sys.stdout, indent=1)
