"""A random base of Qwen2.5-1.5B's shape in 4.5 GiB: refused in fp32; trained for two steps, benchmarked and scoring in bf16.

The settings are those that the refusal names. It takes 3.1 GB under the temporary folder, deleted afterwards. It prints peaks:
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
from distillery.components.student.memory import body_in
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
SETTINGS = {"student.precision": "bf16", "training.precision": "bf16"}
STAGE = """
import json, sys, time
from pathlib import Path
from distillery.components.store import open_store
from tests.training.conftest import Notes, articles, filter_of
stage, store, split, folder, adapter = sys.argv[1:]
store, began, notes = open_store(store), time.monotonic(), Notes()
flt = filter_of(Path(folder), epochs=1, batchSize=2, precision="bf16")
served = flt.spec.student.model_copy(update={"precision": "bf16"})
flt = flt.model_copy(update={"spec": flt.spec.model_copy(update={"student": served})})
if stage == "train":
    from distillery.components.training.train import train
    record = train(store, flt, split=split, progress=notes)
    adapter = record.outputs["adapter"]
elif stage == "benchmark":
    from distillery.components.benchmarking.benchmark import benchmark
    benchmark(store, flt, adapter=adapter, split=split, progress=notes)
else:
    from distillery.components.scoring.score import score
    from distillery.components.student.bundle import open_bundle
    from distillery.components.student.devices import serving_plan
    plan = serving_plan(store, "tiny", adapter, flt.spec.student, notes)
    lines = [json.dumps({"id": str(n), "title": title, "content": text}) for n, (title, text) in enumerate(articles(50, 9)[0])]
    (Path(folder) / "corpus.jsonl").write_text("\\n".join(lines))
    made = score(flt, lambda: open_bundle(store, "tiny", adapter, flt=flt, plan=plan), Path(folder) / "corpus.jsonl",
                 Path(folder) / "scores", adapter=adapter, progress=notes)
    assert made["scored"] == 50, made
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
        student, training = Student(baseModel=str(folder), maxLength=LENGTH, lora=lora), Training(batchSize=2)
        began = time.monotonic()
        with pytest.raises(InputError) as refused:
            require_room(body, student, training, 2, LIMIT, whose="its pod", more="raise limits.memory")
        seconds = time.monotonic() - began
        print(f"\nweights {size / GIB:.2f} GiB in bf16; refused at 4.5 GiB in {seconds:.2f} s: {refused.value}")
        assert seconds < 2
        assert all(f"{name}={value}" in str(refused.value.hint) for name, value in SETTINGS.items())
        student, training = student.model_copy(update={"precision": "bf16"}), training.model_copy(update={"precision": "bf16"})
        estimates = require_room(body, student, training, 2, LIMIT, whose="its pod", more="raise limits.memory")
        split = store_split(open_store(str(tmp_path / "store")), (4, 2, 2))
        adapter = ""
        for estimate in estimates:
            run = [sys.executable, "-c", STAGE, estimate.step, str(tmp_path / "store"), split, str(folder), adapter]
            out = subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True).stdout
            told = json.loads(out.splitlines()[-1])
            peak, adapter = told["peak"], told["adapter"]
            print(
                f"{estimate.step}: peak {peak / GIB:.2f} GiB, estimated {estimate.total / GIB:.2f}, {told['seconds']:.0f} s; "
                f"{told['notes']}"
            )
            assert peak <= estimate.total <= 1.5 * peak
            assert peak <= LIMIT
