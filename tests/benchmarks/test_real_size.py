"""A random base of Qwen2.5-1.5B's shape: refused where it can't fit, trained for two steps, benchmarked, scoring in bf16.

It takes 3.1 GB under the temporary folder, deleted afterwards, 8 GiB of memory, and minutes. It prints the peaks:
pytest -s -m slow tests/benchmarks/test_real_size.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from distillery.components.store import open_store
from distillery.components.student.fit import require_room
from distillery.components.student.memory import body_in, serve_need, train_need
from distillery.filters.errors import InputError
from distillery.filters.spec import Lora, Student, Training
from tests.student.random_base import random_base
from tests.training.conftest import store_split

GIB = 2**30
LIMIT = int(4.5 * GIB)
SHAPE = {
    "hidden_size": 1536,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "intermediate_size": 8960,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
}
LENGTH = 64
STAGE = """
import json, sys, time, torch
from pathlib import Path
from distillery.components.store import open_store
from distillery.components.student.bundle import check_golden, open_bundle
from tests.training.conftest import Notes, articles, filter_of
stage, store, split, folder, adapter = sys.argv[1:]
flt, began, notes = filter_of(Path(folder), epochs=1, batchSize=2, precision="bf16"), time.monotonic(), Notes()
if stage == "train":
    from distillery.components.training.train import train
    record = train(open_store(store), flt, split=split, progress=notes)
    adapter = record.outputs["adapter"]
else:
    student = open_bundle(open_store(store), "tiny", adapter, flt=flt)
    if stage == "benchmark":
        check_golden(student)
    else:
        from distillery.components.student.model import merged
        from distillery.components.student.predict import raw_predictions
        from distillery.components.student.tokens import Tokenizing
        model = merged(student.base, student.facts.lora, 2, student.tensors, dtype=torch.bfloat16)
        assert len(raw_predictions(model, Tokenizing(student.base, student.preprocessing)(articles(50, 1)[0]))) == 50
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"peak": peak, "adapter": adapter, "seconds": time.monotonic() - began, "notes": notes.notes}))
"""


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_student_of_real_size(tmp_path: Path) -> None:
    with TemporaryDirectory(prefix="real-size-") as scratch:
        folder = Path(scratch) / "base"
        size = random_base(folder, "qwen2", **SHAPE)
        body, lora = body_in(folder, "qwen"), Lora(r=4, alpha=8, dropout=0.1)
        student = Student(baseModel=str(folder), maxLength=LENGTH, lora=lora)
        training = Training(batchSize=2, precision="bf16")
        began = time.monotonic()
        with pytest.raises(InputError) as refused:
            require_room(body, student, training, 2, LIMIT, whose="its pod", more="raise limits.memory")
        seconds = time.monotonic() - began
        print(f"\nweights {size / GIB:.2f} GiB in bf16; refused at 4.5 GiB in {seconds:.2f} s: {refused.value}")
        assert seconds < 2
        estimates = {
            "train": train_need(body, student, training, 2).total,
            "benchmark": serve_need(body, LENGTH, lora, 2, step="benchmark").total,
            "score": serve_need(body, LENGTH, lora, 2, precision="bf16").total,
        }
        split = store_split(open_store(str(tmp_path / "store")), (4, 2, 2))
        adapter = ""
        for stage, estimate in estimates.items():
            run = [sys.executable, "-c", STAGE, stage, str(tmp_path / "store"), split, str(folder), adapter]
            out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
            told = json.loads(out.splitlines()[-1])
            peak, adapter = told["peak"], told["adapter"]
            print(
                f"{stage}: peak {peak / GIB:.2f} GiB, estimated {estimate / GIB:.2f}, {told['seconds']:.0f} s; {told['notes']}"
            )
            assert peak <= estimate <= 1.5 * peak
        assert peak <= LIMIT  # scoring in bf16
