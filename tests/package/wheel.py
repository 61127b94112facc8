"""A wheel of this checkout, an environment that has only it, and a hook that hides what its base does not declare."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.pipelines.harness import Ran

ROOT = Path(__file__).resolve().parents[2]
BARE = "DISTILLERY_TEST_BARE"

HOOK = """
import os, sys
from importlib.machinery import PathFinder

class Bare(PathFinder):
    KNOWN = {known!r}

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return super().find_spec(name, path, target) if path is not None or name[0] == "_" or name in cls.KNOWN else None

if os.environ.get({switch!r}):
    sys.meta_path[sys.meta_path.index(PathFinder)] = Bare
"""


def copy_of_checkout(target: Path) -> Path:
    """The files that a distribution is built from, links as links, without what earlier builds left."""
    for name in ("distillery", "components", "filters", "pipelines", "manifests", "images", "docs"):
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target / name)
    return target


def build(checkout: Path, out: Path) -> tuple[Path, Path]:
    """Wheel and sdist."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), "."]
    subprocess.run(pip, cwd=checkout, check=True, capture_output=True)
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True, capture_output=True)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def install(wheel: Path, folder: Path, known: Iterable[str]) -> Path:
    """A new environment with the wheel, which sees the packages of this one; returns its `bin`.

    known: top-level modules that are left to it where BARE is set.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    # A path in a .pth is added, but the .pth files there are not read: the editable install of this checkout stays out.
    seen = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "shared.pth").write_text("".join(f"{path}\n" for path in seen))
    (packages / "sitecustomize.py").write_text(HOOK.format(known=sorted(known), switch=BARE))
    return folder / "bin"


def hostile(folder: Path) -> Path:
    """A folder as Kubeflow users have them, with packages that are called as ours; each raises when it is imported."""
    folder.mkdir(parents=True)
    for file in ("pipelines/__init__.py", "components/__init__.py", "filters.py", "yaml.py"):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(f"raise RuntimeError('the user\\'s {file} was imported')\n")
    return folder


def run_installed(bin: Path, *arguments: str | Path, cwd: Path, bare: bool = False) -> Ran:
    """The installed `distillery` command, as a user types it in `cwd`."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", BARE)}
    environment |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | ({BARE: "1"} if bare else {})
    command = [str(bin / "distillery"), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)
    return Ran(done.returncode, done.stdout, done.stderr)
