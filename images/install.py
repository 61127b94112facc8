"""Install what an image needs into a virtual environment, then drop what no step reads.

    python images/install.py wanted light|torch|operator|serve cpu|cuda > wanted.txt
    python images/install.py install wanted.txt VENV

Requirements come from pyproject.toml, versions from constraints.txt; the project itself comes later, as a wheel in a layer
of its own, so that a change of code builds in seconds. Bytecode is kept of what a step imports: 40 MB that save each pod
3 s of its CPU; that of the rest would be 90 MB more.
"""

from __future__ import annotations

import hashlib
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

# Extras of pyproject.toml that each image holds.
IMAGES = {
    "light": ["light", "oracle", "tensorboard"],
    "torch": ["deepspeed", "qlora", "oracle", "tensorboard"],
    "operator": ["light", "operator"],
    "serve": ["serve", "openvino"],
}
# Globs under site-packages, each with why nothing misses it.
DROP = {
    "**/tests": "test suites of libraries",
    "**/*.pyi": "stubs, for editors",
    "**/*.pxd": "for who compiles against it",
    "**/*.pxi": "for who compiles against it",
    "**/*.pyx": "for who compiles against it",
    "**/*.h": "for who compiles against it",
    "numpy/_core/lib": "for who compiles against it",
    "bitsandbytes/lib*_[rx]*.so": "for GPUs by AMD and Intel; torch's build for those is not installed either",
    "pyarrow/include": "for who compiles against it",
    "pyarrow/src": "for who compiles against it",
    "torch/include": "for who compiles against it",
    "torch/share/cmake": "for who compiles against it",
    "torch/test": "test suites of libraries",
    "torch/bin/*[!r]": "test programs and protoc; torch_shm_manager stays",
    "pyarrow/*_flight*": "Arrow's RPC: tables are files here",
    "pyarrow/libarrow_s3*": "Arrow's own S3 client: the store reads through boto3",
    "pyarrow/_s3fs*": "Arrow's own S3 client: the store reads through boto3",
    "google/cloud/aiplatform": "the generative and training SDK; batch labelling uses aiplatform_v1",
    "google/cloud/aiplatform_v1/services/[!j_]*/": "services other than job_service, the one of batch labelling",
    "google/cloud/aiplatform_v1beta1": "the same services once more",
    "google/cloud/bigquery*": "used by that SDK only",
    "google/cloud/resourcemanager*": "used by that SDK only",
    "vertexai": "the same SDK under another name",
    "agentplatform": "the same SDK under another name",
    "vertex_ray": "the same SDK under another name",
    "botocore/data/[!_s]*/": "descriptions of AWS services other than S3 and STS",
    "botocore/data/s[!3t]*/": "descriptions of AWS services other than S3 and STS",
    "sklearn/datasets/data": "sample tables",
    "sklearn/datasets/images": "sample pictures",
}
# Modules under site-packages, each with why nothing misses what it held.
EMPTY = {"google/cloud/aiplatform_v1/__init__.py": "imports every service; batch labelling names its own in full"}
# Libraries that a wheel holds several times under names of its own, as it can hold no links.
SAME = "pyarrow/*.so*"
# What a step imports of each requirement: a rule of DROP that takes too much fails the build and not a run.
CHECK = {
    "boto3": "boto3.session as b; [b.Session().client(name, 'eu-west-1') for name in ('s3', 'sts')]",
    "kfp": "kfp.dsl.executor_main",
    "kfp-kubernetes": "kfp.kubernetes",
    "kubernetes": "kubernetes.client",
    "rich": "rich.console, rich.live, rich.table",
    "typer": "typer.main, typer.testing",
    "jinja2": "jinja2",
    "json-repair": "json_repair",
    "py3langid": "py3langid",
    "pyarrow": "pyarrow.dataset, pyarrow.parquet",
    "scipy": "scipy.stats, scipy.sparse",
    "scikit-learn": "sklearn.isotonic, sklearn.feature_extraction.text, sklearn.linear_model",
    "kopf": "kopf, aiohttp",
    "prometheus-client": "prometheus_client",
    "openai": "openai",
    "google-genai": "google.genai",
    "google-cloud-aiplatform": "google.cloud.aiplatform_v1.services.job_service.transports.rest, google.cloud.storage",
    "peft": "peft",
    "transformers": "transformers.models.auto.modeling_auto, transformers.models.bert.modeling_bert",
    "torch": "torch.distributed.run, torch.optim, torch.testing",
    "deepspeed": "deepspeed",
    "bitsandbytes": "bitsandbytes.nn, bitsandbytes.functional",
    "openvino": "openvino, openvino.frontend.pytorch",
    "starlette": "starlette.applications, starlette.routing",
    "uvicorn": "uvicorn.protocols.http.h11_impl",
}
COLD = ("google.cloud.aiplatform_v1",)  # imported by one route of labelling: its bytecode is 4 MB


def project() -> dict[str, Any]:
    """Return the table [project] of pyproject.toml in the current folder.

    Returns:
        The table.
    """
    found: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    return found


def with_inner(extras: list[str]) -> list[str]:
    """Return extras and the extras of this project that they name.

    Args:
        extras: names of extras.

    Returns:
        Each name once.
    """
    about, found = project(), dict.fromkeys(extras)
    for extra in extras:
        for line in about["optional-dependencies"][extra]:
            if line.startswith(f"{about['name']}["):
                found |= dict.fromkeys(with_inner(line[len(about["name"]) + 1 : line.index("]")].split(",")))
    return list(found)


def wanted(image: str, kind: str) -> list[str]:
    """Return what must be installed.

    Args:
        image: a key of IMAGES.
        kind: the build of torch where the image has it, cpu or cuda.

    Returns:
        Requirement lines; the first, a comment, names the project itself.
    """
    about = project()
    lines = list(about["dependencies"])
    for extra in with_inner(IMAGES[image]):
        lines += about["optional-dependencies"][extra]
    kept = sorted({of_kind(line, kind) for line in lines if not line.startswith(f"{about['name']}[")})
    return [f"# {about['name']}=={about['version']}", *kept]


def of_kind(line: str, kind: str) -> str:
    """Hold a requirement of torch to one build.

    Args:
        line: the requirement.
        kind: "cpu", which is a version of its own, or "cuda", which is the plain one.

    Returns:
        The requirement.
    """
    name, _, version = line.partition("==")
    return line if name != "torch" else f"torch==={version}" if kind == "cuda" else f"torch=={version}+cpu"


def trim(site: Path) -> int:
    """Remove what DROP names, empty what EMPTY names, and link what is the same in SAME.

    Args:
        site: the folder site-packages.

    Returns:
        Bytes saved.
    """
    freed = 0
    for pattern in DROP:
        for found in sorted(site.glob(pattern)):
            files = [found] if found.is_file() else [file for file in found.rglob("*") if file.is_file()]
            freed += sum(file.lstat().st_size for file in files)
            shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
    for found in (site / name for name in EMPTY):
        if found.exists():
            freed += found.stat().st_size
            found.write_bytes(b"")
    return freed + link(site)


def link(site: Path) -> int:
    """Make each file of SAME that equals another one a link to it.

    Args:
        site: the folder site-packages.

    Returns:
        Bytes saved.
    """
    first: dict[bytes, Path] = {}
    freed = 0
    for path in sorted(site.glob(SAME)):
        kept = first.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
        if kept != path and not path.is_symlink():
            freed += path.stat().st_size
            path.unlink()
            path.symlink_to(kept.name)
    return freed


def imported(python: Path, lines: list[str]) -> list[Path]:
    """Import what steps import of the requirements; fail if one can't be imported.

    Args:
        python: the interpreter.
        lines: requirement lines.

    Returns:
        The source files that were loaded.
    """
    names = [found[0].lower() for line in lines if (found := re.match(r"[A-Za-z0-9._-]+", line))]
    code = [f"import {CHECK[name]}" for name in names if name in CHECK]
    code.append(f"import sys; cold = {COLD!r}")
    code.append("print(*(m.__file__ for n, m in list(sys.modules.items()) if not n.startswith(cold)")
    code.append("        and str(getattr(m, '__file__', '')).endswith('.py')), sep='\\n')")
    environment = {**os.environ, "DS_ACCELERATOR": "cpu", "PYTHONDONTWRITEBYTECODE": "1"}
    told = subprocess.run([python, "-c", "\n".join(code)], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return [Path(line) for line in told.stdout.splitlines() if line.endswith(".py")]


def install(lines: list[str], venv: Path) -> None:
    """Install requirements into a virtual environment, and trim it.

    Args:
        lines: requirement lines.
        venv: folder of the environment.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-compile", "--no-cache-dir", "--quiet"]
    subprocess.run([*pip, "--constraint", "constraints.txt", *(line for line in lines if line[0] != "#")], check=True)
    site = next(venv.glob("lib/python*/site-packages"))
    print(f"dropped {trim(site) / 1e6:.0f} MB")
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH  # checked against no clock: the same bytes whenever it is built
    for path in imported(python, lines):
        if path.is_relative_to(site):
            py_compile.compile(str(path), invalidation_mode=mode, quiet=2)


if __name__ == "__main__":
    if sys.argv[1] == "wanted":
        print(*wanted(*sys.argv[2:]), sep="\n")
    else:
        install(Path(sys.argv[2]).read_text("utf-8").split("\n")[:-1], Path(sys.argv[3]))
