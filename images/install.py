"""Install what an image needs into a virtual environment, then drop what no step reads.

    python images/install.py VENV EXTRA… [cpu|cuda]        e.g. /opt/venv deepspeed oracle cpu

Requirements come from pyproject.toml, versions from constraints.txt; the project itself comes later, as a wheel in a layer
of its own, so that a change of code builds in seconds. Bytecode is kept: it costs 60 MB of the light image and saves every
pod about 2 s of start. README.md has what each rule of DROP gives back.
"""

from __future__ import annotations

import compileall
import py_compile
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

PROJECT = "llm-distillery"
# Globs under site-packages, each with why nothing misses it.
DROP = {
    "**/tests": "test suites of libraries",
    "**/*.pyi": "stubs, for editors",
    "**/*.pxd": "for who compiles against it",
    "**/*.h": "for who compiles against it",
    "pyarrow/include": "for who compiles against it",
    "pyarrow/src": "for who compiles against it",
    "pyarrow/*_flight*": "Arrow's RPC: tables are files here",
    "google/cloud/aiplatform": "the generative and training SDK; batch labelling uses aiplatform_v1",
    "google/cloud/aiplatform_v1beta1": "the same services once more",
    "vertexai": "the same SDK under another name",
    "agentplatform": "the same SDK under another name",
    "vertex_ray": "the same SDK under another name",
    "botocore/data/[!_s]*/": "descriptions of AWS services other than S3 and STS",
    "botocore/data/s[!3t]*/": "descriptions of AWS services other than S3 and STS",
    "sklearn/datasets": "sample tables and pictures",
    "numpy/_core/lib": "for who compiles against it",
    "torch/include": "for who compiles against it",
    "torch/share/cmake": "for who compiles against it",
    "torch/test": "test suites of libraries",
    "torch/bin/*[!r]": "test programs and protoc; torch_shm_manager stays",
}
# What a step imports, so that a rule of DROP that takes too much fails the build and not a run.
CHECK = {
    "": ["boto3.session as b; b.Session().client('s3', 'eu-west-1')", "kfp.kubernetes", "kubernetes.client", "rich.console"],
    "light": ["jinja2", "polars", "py3langid", "pyarrow.dataset, pyarrow.parquet", "scipy.stats", "sklearn.isotonic",
              "sklearn.feature_extraction.text", "sklearn.linear_model"],
    "oracle": ["google.cloud.aiplatform_v1.services.job_service", "google.cloud.storage", "google.genai", "openai"],
    "torch": ["peft", "tokenizers", "transformers.models.auto.modeling_auto", "torch.distributed.run", "torch.nn"],
    "deepspeed": ["deepspeed"],
}  # fmt: skip


def with_inner(extras: list[str]) -> list[str]:
    """`extras` and the extras of this project that they name, each once."""
    optional, found = project()["optional-dependencies"], dict.fromkeys(extras)
    for extra in extras:
        for line in optional[extra]:
            if line.startswith(f"{PROJECT}["):
                found |= dict.fromkeys(with_inner(line[len(PROJECT) + 1 : line.index("]")].split(",")))
    return list(found)


def requirements(extras: list[str]) -> list[str]:
    """Requirement lines of the project and of `extras`."""
    lines = [*project()["dependencies"], *(line for extra in extras for line in project()["optional-dependencies"][extra])]
    return [line for line in dict.fromkeys(lines) if not line.startswith(f"{PROJECT}[")]


def project() -> dict[str, Any]:
    """The table [project] of pyproject.toml in the current folder."""
    found: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    return found


def of_kind(line: str, kind: str) -> str:
    """A requirement of torch, held to the build for `kind`: "cpu" is a version of its own, "cuda" is the plain one."""
    name, _, version = line.partition("==")
    return line if name != "torch" or not kind else f"torch==={version}" if kind == "cuda" else f"torch=={version}+cpu"


def trim(site: Path) -> int:
    """Remove what DROP names; the bytes given back."""
    freed = 0
    for pattern in DROP:
        for found in sorted(site.glob(pattern)):
            files = [found] if found.is_file() else [file for file in found.rglob("*") if file.is_file()]
            freed += sum(file.lstat().st_size for file in files)
            shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
    return freed


def main(venv: Path, words: list[str]) -> None:
    kind = next((word for word in words if word in ("cpu", "cuda")), "")
    extras = with_inner([word for word in words if word != kind])
    wanted = [of_kind(line, kind) for line in requirements(extras)]
    python = venv / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-compile", "--no-cache-dir", "--quiet"]
    subprocess.run([*pip, "--constraint", "constraints.txt", *wanted], check=True)
    site = next(venv.glob("lib/python*/site-packages"))
    print(f"dropped {trim(site) / 1e6:.0f} MB")
    imports = "\n".join(f"import {module}" for extra in ["", *extras] for module in CHECK[extra])
    subprocess.run([str(python), "-B", "-c", imports], check=True)
    # Checked against no clock: the layer is the same bytes whenever it is built.
    compileall.compile_dir(site, quiet=2, workers=0, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
