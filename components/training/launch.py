"""Who trains: this process, several in this pod (one a GPU), or the pods of a TrainJob. What is trained is the same."""

from __future__ import annotations

import os
from pathlib import Path

from distillery.components.articles.scratch import scratch_folder
from distillery.components.artifacts.step_record import StepRecord, look_up
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.runtime.settings import TRAINERS
from distillery.components.store import Store, digest_json
from distillery.components.student.memory import body_in, train_need
from distillery.components.student.resolve import resolve_base
from distillery.components.training.tracked import tracked
from distillery.components.training.trackers.open import open_trackers
from distillery.components.training.train import train, train_inputs
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter


def launch_training(
    trainer: str, store: Store, flt: Filter, filter_key: str, *, split: str, gpus: int = 0, progress: Progress = quiet
) -> StepRecord:
    """Train by whom the user asked for; the result is the same.

    Args:
        trainer: "pod" for this one, with a process for each of its GPUs, or "trainjob".
        store: the store.
        flt: the filter.
        filter_key: key of the published filter.
        split: digest of the split.
        gpus: GPUs of the pod, or of each node; 0 for those that are here.
        progress: told what the training does.

    Returns:
        The record of the train step.

    Raises:
        InputError: the trainer or the number of GPUs is wrong, or a worker found bad input.
        Stopped: the training failed.
    """
    if trainer not in TRAINERS:
        raise InputError(f"{trainer!r} is no trainer", where="trainer", hint=f"one of {', '.join(TRAINERS)}")
    processes = 1 if trainer == "trainjob" else _gpus_here(gpus)
    if trainer == "pod" and processes == 1:
        return train(store, flt, split=split, progress=progress)
    base = resolve_base(flt.spec.student.baseModel, flt.spec.student.revision, store)
    inputs = train_inputs(flt, split, base.digest)
    if found := look_up(store, "train", inputs, note=progress.note):
        return found
    arguments = ["--store", store.uri, "--filter-key", filter_key, "--split", split]
    digest = digest_json({"step": "train", "inputs": inputs})
    with tracked(progress, open_trackers(store, flt, digest)) as told:
        if trainer == "pod":
            from distillery.components.training.worker import run_workers
            from distillery.components.training.worker_progress import follow_file

            with scratch_folder("distillery-progress-") as folder, follow_file(lines := folder / "progress", told):
                run_workers([*arguments, "--progress", str(lines)], processes)
        else:
            from distillery.components.training.trainjob import train_job, work_off
            from distillery.components.training.trainjob_api import Api

            namespace = os.environ.get("DISTILLERY_NAMESPACE", "distillery")
            need = train_need(body_in(base.path, base.ref), flt.spec.student, flt.spec.training, len(flt.dimensions)).total
            body = train_job(flt, digest, store.uri, arguments, gpus=gpus, namespace=namespace, need=need)
            work_off(Api(namespace), body, told, done=lambda: look_up(store, "train", inputs) is not None)
    record = look_up(store, "train", inputs)
    if record is None:
        raise Stopped("the training ended and left no adapter", hint="read its log, then start it again")
    return record.model_copy(update={"reused": False})


def _gpus_here(wanted: int) -> int:
    """Return how many processes train in this pod: one for each GPU, one without any."""
    if wanted == 0 and not Path("/proc/driver/nvidia").exists():
        return 1  # spares a laptop the seconds that torch takes to start
    import torch

    here = torch.cuda.device_count()
    if wanted > here:
        raise InputError(f"{wanted} GPUs were asked for, {here} are here", where="gpus")
    return max(1, wanted or here)
