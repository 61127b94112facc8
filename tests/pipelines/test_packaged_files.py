"""What the code reads at run time goes into the wheel: an image has the project installed, not its checkout."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_data_file_of_the_packages_is_package_data() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    packed = {
        path
        for package, patterns in data.items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    there = {path for package in data for path in (ROOT / package.replace(".", "/")).rglob("*") if path.is_file()}
    code = {path for path in there if path.suffix in (".py", ".pyc") or path.name == "README.md"}
    assert sorted(str(path.relative_to(ROOT)) for path in there - packed - code) == []
