"""Measure the noise floor: how far an oracle's labels are from themselves when it is asked again, and from another's.

No student can come nearer to labels than they come to their own mean, so its error is read beside this floor. Each
repetition has a key of its own in the journal: durable, resumed, paid once. It costs n·(k - 1) calls: 100 for 50 articles
three times, which tells the floor to about 10%.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.input_files import local_input
from distillery.components.articles.label_table import read_table, scores
from distillery.components.articles.scratch import scratch_folder
from distillery.components.artifacts.noise_floor import Difference, Floor, NoiseFloor, SecondOracle
from distillery.components.artifacts.rubric_calibration import oracle_digest
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.labeling.label import label, open_journal
from distillery.components.labeling.oracles.base import Oracle, RawReply, Request, open_oracle, oracle_identity
from distillery.components.labeling.oracles.replay import connect
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.sampling.draw import RANDOM
from distillery.components.sampling.select import FILE, jsonl, select
from distillery.components.store import Digest, Store
from distillery.components.store.layout import LABEL_SETS, noise_key
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.spec import ONLINE
from distillery.filters.spec import Oracle as OracleSpec

Floats = NDArray[np.float64]
Table = Mapping[str, tuple[Floats, float]]  # by article digest: the scores (D,) and the overall score

CODE: Final = 1
SEED: Final = "noise"
RESAMPLES: Final = 2000
FEWEST: Final = 10  # articles labelled every time, without which nothing is said


class Again:
    """Ask the same oracle anew: only its identity differs, so the journal keeps its answers apart."""

    def __init__(self, oracle: Oracle, repetition: int) -> None:
        """Wrap an oracle to ask it anew.

        Args:
            oracle: the oracle.
            repetition: which label of an article it gives, from 2.
        """
        self._oracle = oracle
        self.identity: Mapping[str, Any] = {**oracle.identity, "repetition": repetition}

    async def ask(self, request: Request) -> RawReply:
        """Return the oracle's reply to a request.

        Args:
            request: the request.

        Returns:
            The reply.
        """
        return await self._oracle.ask(request)

    async def close(self) -> None:
        """Close the oracle."""
        await self._oracle.close()


def asked_again(flt: Filter, repetition: int) -> Oracle:
    """Return the oracle to ask for one more label of each article; recorded replies have one recorded for it.

    Args:
        flt: the filter.
        repetition: which label it is, from 2.

    Returns:
        The oracle.
    """
    provider = flt.spec.oracle.provider
    if provider == "replay":
        return connect(flt, repetition)
    if provider in ONLINE:  # a job is named by its content and would be adopted, not asked again
        oracle = flt.spec.oracle.model_copy(update={"provider": ONLINE[provider]})
        flt = flt.model_copy(update={"spec": flt.spec.model_copy(update={"oracle": oracle})})
    return Again(open_oracle(flt), repetition)


def second(text: str) -> list[str]:
    """Return the filter's overrides for the other oracle.

    Args:
        text: "provider:model", or settings below spec.oracle, as "model=…,temperature=1".

    Returns:
        Overrides, as `--set` takes them.

    Raises:
        InputError: the text is neither.
    """
    if "=" not in text:
        provider, sign, model = text.partition(":")
        if not (provider and sign and model):
            raise InputError(f"{text!r} names no oracle", where="--second-oracle", hint="write provider:model or path=value,…")
        return [f"oracle.provider={provider}", f"oracle.model={model}"]
    parts = [part for part in text.split(",") if part]
    return [part if part.startswith("oracle.") else f"oracle.{part}" for part in parts]


def measure(
    store: Store,
    flt: Filter,
    *,
    articles: str,
    repeat: int = 3,
    second: Filter | None = None,
    n: int = 50,
    oracle: Oracle | None = None,
    again: Sequence[Oracle] = (),
    budget: float | None = None,
    progress: Progress = quiet,
) -> StepRecord:
    """Label articles several times, and once by another oracle, and keep how far the labels are apart.

    What was measured earlier of one of the two stays where only the other is measured now.

    Args:
        store: where labels and noise are.
        flt: the filter.
        articles: address of the articles to draw from.
        repeat: labels of each article by the filter's oracle.
        second: a filter with the other oracle; None for no comparison.
        n: how many articles.
        oracle: asked instead of the filter's.
        again: asked instead of the filter's for the second label, the third, …
        budget: US dollars that the labels, their repetitions and the other oracle's labels may cost, earlier runs included;
            None for no limit.
        progress: tells how far it is.

    Returns:
        The record; its outputs are the document.

    Raises:
        InputError: too few articles got a label every time, or nothing is to be measured.
        StoreError: what was measured earlier cannot be read.
    """
    if repeat < 2 and second is None:
        raise InputError("one label of each article says nothing of noise", where="--repeat", hint="give 2 or more")
    identity = dict(oracle_identity(flt) if oracle is None else oracle.identity)
    with local_input(articles, parameter="articles") as path:
        sample, digest = select(store, flt, path, n, {RANDOM: 1.0}, seed=SEED, progress=progress)
    with scratch_folder("distillery-sample-") as folder:
        file = folder / FILE
        file.write_bytes(jsonl(sample.articles))

        journals = [
            *((flt, {**identity, **({"repetition": at} if at > 1 else {})}) for at in range(1, repeat + 1)),
            *([(second, dict(oracle_identity(second)))] if second is not None else []),
        ]

        def ask(chosen: Filter, one: Oracle | None) -> str:
            its = dict(oracle_identity(chosen) if one is None else one.identity)
            elsewhere = sum(_spent(store, other, who) for other, who in journals if who != its) if budget is not None else 0.0
            left = None if budget is None else max(0.0, budget - elsewhere)
            record = label(store, chosen.with_columns({}), articles=str(file), oracle=one, budget=left, progress=progress)
            return str(record.outputs["label_set"])

        sets = [ask(flt, oracle)]
        for repetition in range(2, repeat + 1):
            progress.note(f"asking for label {repetition} of {repeat}")
            sets.append(ask(flt, again[repetition - 2] if again else asked_again(flt, repetition)))
        other = ask(second, None) if second is not None else None
    compared = None
    if second is not None and other is not None:
        compared = compare(flt, _labels(store, flt, sets[0]), _labels(store, flt, other), second.spec.oracle, other)
    document = NoiseFloor(
        code=CODE,
        filter=flt.name,
        rubric=rubric_digest(flt),
        oracle=oracle_digest(identity),
        identity=identity,
        model=flt.spec.oracle.model,
        sample=digest,
        floor=floor(flt, [_labels(store, flt, one) for one in sets], digest) if repeat > 1 else None,
        second=compared,
    )
    key = noise_key(flt.name, document.rubric, document.oracle)
    document = _write(store, key, document)
    inputs = {
        "code": CODE,
        "filter": flt.name,
        "rubric": document.rubric,
        "oracle": document.oracle,
        "sample": digest,
        "repeat": repeat,
        "second": other,
    }
    return StepRecord.of("noise", inputs, document.to_json(), [key])


def _spent(store: Store, flt: Filter, identity: Mapping[str, Any]) -> float:
    """Return what the labels of one journal have cost or may have cost, in US dollars."""
    journal = open_journal(store, flt, identity)
    return journal.usd + journal.unknown_usd


def _labels(store: Store, flt: Filter, label_set: str) -> Table:
    """Return the labels of a label set by article."""
    from distillery.filters.verdict import judge

    frame = read_table(store.folder(LABEL_SETS, Digest(label_set)).read("labels.parquet"))
    rows = scores(frame, flt.dimensions)
    overall = judge(flt, rows, frame["content_type"].to_pylist()).overall
    return {article: (row, float(its)) for article, row, its in zip(frame["article"].to_pylist(), rows, overall, strict=True)}


def _shared(tables: Sequence[Table]) -> tuple[Floats, Floats]:
    """Return (k, n, D) scores and (k, n) overall of the articles that every table has, in the order of their digests."""
    common = sorted(set.intersection(*(set(table) for table in tables)))
    if len(common) < FEWEST:
        raise InputError(
            f"only {len(common)} articles got a label every time, {FEWEST} are the least",
            hint="draw more with --n, or look at the dead letters",
        )
    return (
        np.array([[table[article][0] for article in common] for table in tables]),
        np.array([[table[article][1] for article in common] for table in tables]),
    )


def deviation(values: Floats) -> Floats:
    """Return the mean absolute distance of repeated labels to their own mean, as if that mean were exact.

    Over k labels the mean lies nearer to each than the true one does, for Gaussian noise by sqrt((k - 1) / k).

    Args:
        values: (k, …) labels, in points.

    Returns:
        (…) distances, in points.
    """
    k = len(values)
    found: Floats = np.abs(values - values.mean(axis=0)).mean(axis=0) * np.sqrt(k / (k - 1))
    return found


def floor(flt: Filter, tables: Sequence[Table], seed: str) -> Floor:
    """Return the oracle's own noise: the errors that no student can go below, by dimension and overall.

    Args:
        flt: the filter.
        tables: labels of the same articles, two or more times.
        seed: 16 or more hexadecimal digits, for the interval's resampling.

    Returns:
        The noise, in points.

    Raises:
        InputError: too few articles got a label every time.
    """
    values, overall = _shared(tables)
    each = deviation(values)
    articles = each.mean(axis=1)
    rng = np.random.default_rng(int(seed[:16], 16))
    means = articles[rng.integers(0, len(articles), (RESAMPLES, len(articles)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Floor(
        n=len(articles),
        repeat=len(tables),
        mae=_round(articles.mean()),
        interval=(_round(low), _round(high)),
        overall_mae=_round(deviation(overall).mean()),
        identical=_round((np.ptp(values, axis=0) == 0).all(axis=1).mean()),
        dimensions={name: _round(each[:, at].mean()) for at, name in enumerate(flt.dimensions)},
    )


def compare(flt: Filter, ours: Table, theirs: Table, oracle: OracleSpec, label_set: str) -> SecondOracle:
    """Return how far the other oracle is from ours: bias and MAE, by dimension and overall.

    Args:
        flt: the filter.
        ours: labels of the filter's oracle.
        theirs: labels of the other one.
        oracle: the other oracle's section of its filter.
        label_set: digest of its labels.

    Returns:
        The differences, in points.

    Raises:
        InputError: too few articles got a label of both.
    """
    values, overall = _shared([ours, theirs])
    difference = values[1] - values[0]
    return SecondOracle(
        provider=oracle.provider,
        model=oracle.model,
        label_set=label_set,
        n=len(difference),
        mae=_round(np.abs(difference).mean()),
        bias=_round(difference.mean()),
        overall_mae=_round(np.abs(overall[1] - overall[0]).mean()),
        dimensions={
            name: Difference(bias=_round(difference[:, at].mean()), mae=_round(np.abs(difference[:, at]).mean()))
            for at, name in enumerate(flt.dimensions)
        },
    )


def _round(value: np.floating | float) -> float:
    """Return a figure as it is stored, to six decimals."""
    return round(float(value), 6)


def _write(store: Store, key: str, document: NoiseFloor) -> NoiseFloor:
    """Write the document; a part that was not measured this time stays as it is."""

    def merged(old: NoiseFloor | None) -> NoiseFloor:
        if old is None:
            return document
        parts = {"floor": document.floor or old.floor, "second": document.second or old.second}
        return document.model_copy(update=parts)

    return NoiseFloor.update(store, key, merged) or document
