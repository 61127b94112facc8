"""What a command loads is what it needs: `distillery --help` and package imports stay light."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "kfp", "transformers", "pyarrow", "sklearn", "scipy", "boto3", "matplotlib", "numpy", "pydantic"}


def loaded(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_command_line_loads_nothing_heavy_to_show_its_help() -> None:
    assert not loaded("import distillery.pipelines.cli.main") & HEAVY


def test_help_and_version_are_shown_without_rich_or_anything_heavy() -> None:
    for option in ("--help", "--version"):
        code = f"import sys; sys.argv = ['distillery', {option!r}]\nfrom distillery.pipelines.cli.main import app\n"
        assert not loaded(f"{code}\ntry: app()\nexcept SystemExit: pass") & (HEAVY | {"rich", "yaml"})


def test_a_command_ends_without_looking_for_garbage() -> None:
    script = (
        "import atexit, gc, sys; sys.argv = ['distillery', '--version']\n"
        "atexit.register(lambda: print(gc.get_freeze_count()))\n"
        "from distillery.pipelines.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) > 10_000


@pytest.mark.parametrize("step", ["splitting", "auditing", "labeling", "training", "benchmarking", "gating", "scoring"])
def test_a_step_package_loads_neither_torch_nor_kfp(step: str) -> None:
    assert not loaded(f"import distillery.components.{step}") & {"torch", "kfp", "transformers"}
