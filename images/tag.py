"""The tag of an image, from what it is made of.

    python images/tag.py light|torch|operator|serve

Twelve hex digits of a digest over the image's name, the Containerfile, the scripts it runs, constraints.txt, what
pyproject.toml asks for and every file that goes into the wheel. Tests and documents are no part of it, so a change of words
builds nothing; where no registry gives a digest, two machines still agree on a name for the same content. 30 ms, standard
library only.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from install import IMAGES

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (
    "components",
    "filters",
    "pipelines",
)  # distillery/ links to more: a wheel carries manifests, recipes and docs, an image not
SCRIPTS = ("install.py", "sbom.py", "slim.sh")


def recipe(root: Path) -> list[Path]:
    """Return the files that the dependencies of images follow from.

    Args:
        root: the checkout.

    Returns:
        Paths.
    """
    return [root / "constraints.txt", *(root / "images" / name for name in ("Containerfile", *SCRIPTS))]


def project(root: Path) -> Iterator[Path]:
    """Find the files that go into an image's wheel.

    Args:
        root: the checkout.

    Yields:
        Paths.
    """
    yield from (root / "LICENSE", root / ".containerignore")
    yield from (path for path in (root / "distillery").iterdir() if path.name in FOLDERS or path.suffix == ".py")
    for folder in FOLDERS:
        yield from (root / folder).rglob("*.py")
    for name, globs in about(root)["tool"]["setuptools"]["package-data"].items():
        folder = root / (name.removeprefix("distillery.") if "." in name else name)
        for pattern in globs:
            if (folder / Path(pattern).parts[0]).is_symlink():
                continue
            yield from (found for found in folder.glob(pattern) if found.suffix != ".md" and found.is_file())


def parts(root: Path = ROOT) -> list[Path]:
    """Return every file that images are made of.

    Args:
        root: the checkout.

    Returns:
        Paths.
    """
    return [root / "pyproject.toml", *recipe(root), *project(root)]


def about(root: Path) -> dict:  # type: ignore[type-arg]
    """Return pyproject.toml.

    Args:
        root: the checkout.

    Returns:
        Its tables.
    """
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


def below(image: str, root: Path = ROOT) -> str:
    """Return the tag of all of an image but the project's own layer.

    Args:
        image: one of IMAGES.
        root: the checkout.

    Returns:
        12 hex digits.

    Raises:
        ValueError: the image is not one of this project's.
    """
    if image not in IMAGES:
        raise ValueError(f"{image} is no image of this project: {', '.join(IMAGES)}")
    asked = about(root)["project"]
    return digest(recipe(root), root, repr((image, asked["version"], asked["dependencies"], asked["optional-dependencies"])))


def tag(image: str, root: Path = ROOT) -> str:
    """Return the tag of an image.

    Args:
        image: one of IMAGES.
        root: the checkout.

    Returns:
        12 hex digits.

    Raises:
        ValueError: the image is not one of this project's.
    """
    tables = about(root)
    built = repr((tables["build-system"], tables["project"], tables["tool"]["setuptools"]))
    return digest(project(root), root, below(image, root) + built)


def digest(paths: Iterable[Path], root: Path, more: str) -> str:
    """Return a digest of files and a text.

    Args:
        paths: the files; their names below `root` count, too.
        root: the checkout.
        more: the text.

    Returns:
        12 hex digits.
    """
    found = hashlib.sha256(more.encode())
    for path in sorted({path.relative_to(root).as_posix() for path in paths}):
        here = root / path
        data = os.readlink(here).encode() if here.is_symlink() else here.read_bytes()
        found.update(f"{path}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return found.hexdigest()[:12]


if __name__ == "__main__":
    try:
        print(tag(*sys.argv[1:]))
    except (TypeError, ValueError) as error:
        sys.exit(str(error) if isinstance(error, ValueError) else str(__doc__))
