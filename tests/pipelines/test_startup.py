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


@pytest.mark.parametrize("step", ["splitting", "auditing", "labeling", "training", "benchmarking", "gating", "scoring"])
def test_a_step_package_loads_neither_torch_nor_kfp(step: str) -> None:
    assert not loaded(f"import components.{step}") & {"torch", "kfp", "transformers"}
