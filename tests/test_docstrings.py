"""Public functions of the product say what they take and return; ruff's pydocstyle rules say how a docstring is written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("components", "distillery", "filters", "images", "pipelines")
SECTIONS = re.compile(r"^ *(Args|Attributes|Example|Examples|Note|Raises|Returns|Yields):\s*$")
SHOWN_AS_HELP = {"callback", "command"}  # a command's docstring is its help text
NOTHING = {"None", "NoReturn", "Never"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> list[Path]:
    """Return the Python files to check; the docstring of a component.py has the form that KFP asks for."""
    paths = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")) if not path.is_symlink())
    return [path for path in paths if path.resolve() == path and path.name != "component.py"]


def public_functions(body: list[ast.stmt]) -> Iterator[Function]:
    """Yield the functions and methods of a module that others may call.

    Not those nested, with an underscore, or shown otherwise: a property, a command, an override of what its base documents.
    """
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body)
        if not isinstance(node, Function) or node.name.startswith("_"):
            continue
        decorators = {ast.unparse(d.func if isinstance(d, ast.Call) else d).rsplit(".", 1)[-1] for d in node.decorator_list}
        if not decorators & {"cached_property", "overload", "override", "property", "setter", *SHOWN_AS_HELP}:
            yield node


def section(docstring: str, *names: str) -> str:
    """Return the text under a heading such as "Args:", empty where there is none."""
    lines: list[str] = []
    inside = False
    for line in docstring.splitlines():
        heading = SECTIONS.match(line)
        if heading:
            inside = heading[1] in names
        elif inside:
            lines.append(line)
    return "\n".join(lines)


def faults(node: Function) -> list[str]:
    """Return what a function's docstring lacks."""
    docstring = ast.get_docstring(node)
    if not docstring:
        return ["no docstring"]
    missing = []
    if docstring[0].islower():
        missing.append("its first letter is small")
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, *filter(None, (node.args.vararg, node.args.kwarg))]
    names = [argument.arg for argument in every if argument.arg not in ("self", "cls") and not argument.arg.startswith("_")]
    described = set(re.findall(r"^ *\*{0,2}(\w+)(?: \([^)]*\))?:", section(docstring, "Args"), re.MULTILINE))
    missing += [f"Args: {name}" for name in names if name not in described]
    returns = ast.unparse(node.returns) if node.returns else "None"
    if returns not in NOTHING and not section(docstring, "Returns", "Yields").strip():
        missing.append("Returns")
    return missing


def test_public_functions_are_documented() -> None:
    lacking = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {', '.join(missing)}"
        for path in sources()
        for node in public_functions(ast.parse(path.read_text("utf-8")).body)
        if (missing := faults(node))
    ]
    assert lacking == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("def f(): ...", ["no docstring"]),
        ("def f(): 'nothing to say'", ["its first letter is small"]),
        ("def f(): 'Do it.'", []),
        ("def f(a, *b, c=1, **d):\n '''Do it.\n\n Args:\n  a: one.\n  c: three: of them.\n '''", ["Args: b", "Args: d"]),
        ("def f(a):\n '''Do it.\n\n Raises:\n  a: not an argument.\n '''", ["Args: a"]),
        ("async def f(a: int) -> int:\n '''Return it.\n\n Args:\n  a (int): one.\n '''", ["Returns"]),
        ("def f() -> Iterator[int]:\n '''Yield them.\n\n Yields:\n  Numbers.\n '''", []),
        ("def f() -> NoReturn: 'Raise it.'", []),
        ("class A:\n def f(self, a): 'Do it.'", ["Args: a"]),
        ("class _A:\n def f(self, a): ...", None),
        ("def _f(a): ...", None),
        ("@app.command('name')\ndef f(a): 'Help.'", None),
        ("class A:\n @property\n def f(self) -> int: ...", None),
        ("class A(B):\n @override\n def f(self, a): ...", None),
    ],
)  # fmt: skip
def test_what_counts_as_documented(text: str, missing: list[str] | None) -> None:
    nodes = list(public_functions(ast.parse(text).body))
    assert [faults(node) for node in nodes] == ([] if missing is None else [missing])
