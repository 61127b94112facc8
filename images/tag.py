"""The tag of an image, from what it is made of.

    python images/tag.py light|torch

Twelve hex digits of a digest over the Containerfile, the scripts it runs, constraints.txt, pyproject.toml and every file that
goes into the wheel. Tests and documents are no part of it, so a change of words builds nothing; where no registry gives a
digest, two machines still agree on a name for the same content. Takes 30 ms, needs the standard library only.
"""

from __future__ import annotations

import hashlib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ("light", "torch")
SCRIPTS = ("install.py", "sbom.py")


def parts(image: str, root: Path = ROOT) -> Iterator[Path]:
    """The files that `image` is made of."""
    yield from (root / "pyproject.toml", root / "constraints.txt", root / "LICENSE", root / ".containerignore")
    yield root / "images" / image / "Containerfile"
    yield from (root / "images" / script for script in SCRIPTS)
    tools = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    for pattern in tools["packages"]["find"]["include"]:
        for package in sorted(root.glob(pattern)):
            yield from package.rglob("*.py")
    for package_name, globs in tools["package-data"].items():
        for pattern in globs:
            yield from (found for found in (root / package_name).glob(pattern) if found.suffix != ".md" and found.is_file())


def tag(image: str, root: Path = ROOT) -> str:
    """12 hex digits; ValueError for an image that is not ours."""
    if image not in IMAGES:
        raise ValueError(f"{image} is no image of this project: {', '.join(IMAGES)}")
    digest = hashlib.sha256()
    for path in sorted({path.relative_to(root).as_posix() for path in parts(image, root)}):
        digest.update(f"{path}\0{hashlib.sha256((root / path).read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    try:
        print(tag(*sys.argv[1:]))
    except (TypeError, ValueError) as error:
        sys.exit(str(error) if isinstance(error, ValueError) else str(__doc__))
