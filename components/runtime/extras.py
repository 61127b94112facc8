"""Which extra of the project brings a package that is missing: what an install without extras is answered with.

The table is literal, since reading the installed metadata takes longer than most commands; a test holds it against
pyproject.toml and against every import of the product.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Final, Literal

from distillery.filters.errors import InputError, install_line

Extra = Literal[
    "light",
    "torch",
    "deepspeed",
    "qlora",
    "openvino",
    "oracle",
    "documents",
    "serve",
    "tensorboard",
    "mlflow",
    "wandb",
    "trackio",
    "onnx",
    "operator",
]

# Top-level module → the smallest extra that declares it, or declares what brings it.
MODULES: Final[dict[str, Extra]] = {
    **dict.fromkeys(
        ("jinja2", "json_repair", "markupsafe", "numpy", "openpyxl", "py3langid", "pyarrow", "scipy", "sklearn"), "light"
    ),
    **dict.fromkeys(("accelerate", "huggingface_hub", "peft", "safetensors", "tokenizers", "torch", "transformers"), "torch"),
    "deepspeed": "deepspeed",
    "bitsandbytes": "qlora",
    "openvino": "openvino",
    **dict.fromkeys(("docx", "matplotlib"), "documents"),
    **dict.fromkeys(("google", "h11", "httpx", "httpx2", "openai"), "oracle"),
    **dict.fromkeys(("prometheus_client", "starlette", "uvicorn"), "serve"),
    "tensorboardX": "tensorboard",
    "mlflow": "mlflow",
    "wandb": "wandb",
    "trackio": "trackio",
    "kopf": "operator",
    **dict.fromkeys(("onnx", "onnxruntime"), "onnx"),
}
# What a command needs that labels, and what one that trains or scores; asked for before an oracle is paid or a model loaded.
LABELS: Final = tuple(module for module, extra in MODULES.items() if extra == "light")
DRAWING: Final = ("docx", "matplotlib")
STUDENT: Final = (*LABELS, "safetensors", "tokenizers", "transformers", "peft", "torch")
ONNX: Final = (*STUDENT, "onnx", "onnxruntime")
SERVER: Final = (*STUDENT, "prometheus_client", "starlette", "uvicorn")


def missing_package(error: BaseException) -> InputError | None:
    """Return the error to show where an import failed for want of one of the project's extras.

    Args:
        error: what an import raised.

    Returns:
        An InputError that names the package and the extra to install, or None where `error` is anything else: a fault
        of ours, or a package that no extra brings.
    """
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    package = error.name.partition(".")[0]
    if package not in MODULES:
        return None
    return _needs(error.name if package == "google" else package, MODULES[package])


def require(modules: Iterable[str]) -> None:
    """Raise InputError unless all of these modules are installed; none of them is imported.

    Args:
        modules: top-level names out of MODULES. Give all that a command needs, so that one answer names the extra that
            brings them all.

    Raises:
        InputError: one is missing; the hint names the largest extra among those of the missing ones.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        largest = max(missing, key=lambda module: list(MODULES).index(module))
        raise _needs(largest, MODULES[largest])


def _needs(package: str, extra: Extra) -> InputError:
    return InputError(f"needs the package {package}, which is not installed", hint=install_line(extra))
