"""What is not installed is named with the extra that brings it; the table of extras is that of pyproject.toml."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest

from distillery.components.runtime import extras
from distillery.components.runtime.extras import MODULES, STUDENT, missing_package, require
from distillery.filters.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TRACKERS = ("tensorboard", "mlflow", "wandb", "trackio")
SMALLEST = ("light", "torch", "deepspeed", "qlora", "openvino", "oracle", "serve", "operator", "documents", "onnx", *TRACKERS)


def plain(requirement: str) -> str:
    """A distribution's normalised name out of a requirement."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]).lower()


def closure(requirements: list[str]) -> set[str]:
    """Distributions that installing these would bring, by the metadata of what is installed here."""
    todo, found = [plain(one) for one in requirements if plain(one) != PROJECT["name"]], set[str]()
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        try:
            declared = requires(name) or []
        except PackageNotFoundError:
            continue  # for another platform
        todo += [plain(one) for one in declared if "extra ==" not in one]
    return found


INSTALLED = packages_distributions()  # by top-level module
BASE = closure(PROJECT["dependencies"])
EXTRAS = {name: closure(PROJECT["optional-dependencies"][name]) for name in SMALLEST}


def distributions(module: str) -> set[str]:
    return {plain(name) for name in INSTALLED.get(module, [])}


def imported() -> Iterator[tuple[str, str]]:
    """(top-level module, file) of every import of the product."""
    for folder in ("components", "filters", "pipelines"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [node.module]
                for name in names:
                    yield name.partition(".")[0], str(path.relative_to(ROOT))


def test_every_import_is_of_the_base_or_has_an_extra() -> None:
    known = {*sys.stdlib_module_names, *MODULES, "distillery"}
    strange = {(module, path) for module, path in imported() if module not in known and not distributions(module) & BASE}
    assert strange == set()


@pytest.mark.parametrize("module", MODULES)
def test_an_extra_of_the_table_brings_its_module_and_no_smaller_one_does(module: str) -> None:
    extra, brought = MODULES[module], distributions(module)
    if extra in ("openvino", "mlflow", "wandb", "trackio") and not brought:
        pytest.skip(f"{extra} is an option, and not installed here")
    assert brought & EXTRAS[extra]
    above_light = ("torch", "oracle", "operator", "documents", *TRACKERS)
    above_torch = ("deepspeed", "qlora", "openvino", "onnx", "serve")
    smaller = ("light",) if extra in above_light else ("light", "torch") if extra in above_torch else ()
    if module != "google":  # one name for many distributions; google.protobuf is in the base
        assert not brought & BASE
        assert [name for name in smaller if brought & EXTRAS[name]] == []


def test_a_missing_package_is_named_with_its_extra() -> None:
    error = missing_package(ModuleNotFoundError("No module named 'sklearn.linear_model'", name="sklearn.linear_model"))
    assert isinstance(error, InputError)
    assert "sklearn" in error.what
    assert error.hint.startswith("pip install '.[light]' in the checkout")


@pytest.mark.parametrize(
    "error", [ValueError("x"), ModuleNotFoundError("x", name="distillery.nowhere"), ModuleNotFoundError("x")]
)
def test_anything_else_stays_what_it_is(error: Exception) -> None:
    assert missing_package(error) is None


def test_of_several_missing_packages_the_largest_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require(STUDENT)
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    with pytest.raises(InputError, match=r"'\.\[torch\]'"):
        require(STUDENT)
    with pytest.raises(InputError, match=r"'\.\[light\]'"):
        require(["numpy", "scipy"])
    require([])
