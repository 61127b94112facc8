"""Threads that wait for one another sleep soon, unless the environment says how they wait."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from distillery.components import SPINS

SAID = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
SHOW = """
import os, sys
import distillery.components
assert "torch" not in sys.modules, "OpenMP has read its settings already"
print(os.environ.get("GOMP_SPINCOUNT", "none"))
"""


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ({}, SPINS),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, "none"),
        ({"OMP_WAIT_POLICY": "passive"}, "none"),
    ],
)
def test_what_openmp_is_told(said: dict[str, str], count: str) -> None:
    plain = {name: value for name, value in os.environ.items() if name not in SAID}
    told = subprocess.run([sys.executable, "-c", SHOW], env=plain | said, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [count]
