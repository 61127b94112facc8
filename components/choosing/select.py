"""Selects a student: trains candidates on one split, compares them on validation, and opens the test part once.

Each candidate is an ordinary training under the digest of its inputs, and its predictions for the validation part lie where a
benchmark would look for them. So what exists is reused, and a selection that was killed goes on with the next candidate.

Errors on validation are those of raw scores within 0-10: score curves are fitted on that very part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.label_table import scores
from distillery.components.artifacts.benchmark import read_benchmark
from distillery.components.artifacts.bundle import HISTORY, HistoryFile, StudentFacts, bundle_folder
from distillery.components.artifacts.split import StoredSplit, test_digest
from distillery.components.artifacts.step_record import Outcome, StepRecord, run_step
from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.benchmarking.document import judged
from distillery.components.benchmarking.intervals import intervals
from distillery.components.benchmarking.predict import about_bundle, predict, read_predictions
from distillery.components.benchmarking.slices import by_language
from distillery.components.choosing.candidates import Candidate
from distillery.components.choosing.document import (
    CandidateFigures,
    LanguageFigures,
    Opened,
    RecipeFigures,
    Rung,
    Selection,
)
from distillery.components.choosing.ensembles import ensembles
from distillery.components.choosing.rule import Choice, Measured, Rule, choose, rungs, survivors
from distillery.components.choosing.terms import Terms, terms_of, unequal
from distillery.components.comparing.document import FigureRow
from distillery.components.comparing.paired import paired
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Store, digest_bytes, digest_json
from distillery.components.store.layout import selection_key
from distillery.filters.digests import parts
from distillery.filters.errors import InputError
from distillery.filters.loading import with_overrides

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.filters.filter import Filter

Floats = NDArray[np.float64]

CODE: Final = 4
GFLOP: Final = 1e9
MB: Final = 1e6


class Trained(NamedTuple):
    """A candidate with what its training left.

    Attributes:
        candidate: as the file has it.
        filter: with its settings; in an early rung of halving, with fewer epochs.
        record: of the training.
        student: what the bundle says.
        work: GFLOP of one article.
        memory: that scoring takes, in MB.
        terms: tokens that it reads; None where no candidate has an instruction.
    """

    candidate: Candidate
    filter: Filter
    record: StepRecord
    student: StudentFacts
    work: float
    memory: float
    terms: Terms | None = None

    @property
    def adapter(self) -> str:
        """Return the digest of the adapter."""
        return str(self.record.outputs["adapter"])

    @property
    def recipe(self) -> str:
        """Return what candidates share that differ in the seed alone."""
        part = parts(self.filter, "train")
        return digest_json({**part, "training": {**part["training"], "seed": None}})


class Selected(NamedTuple):
    """What a selection came to.

    Attributes:
        selection: the document.
        digest: of the document.
        rates: articles a second that each candidate read on this machine, by name; None where it was not measured.
        seconds: of each training, by name, those of earlier rungs included; None where it was not measured.
    """

    selection: Selection
    digest: str
    rates: dict[str, float | None]
    seconds: dict[str, float | None]


def select_student(
    store: Store,
    flt: Filter,
    candidates: Sequence[Candidate],
    *,
    split: str,
    rule: Rule,
    halving: bool = False,
    progress: Progress = quiet,
) -> Selected:
    """Train candidates, or find them trained, and choose one of them.

    Args:
        store: where everything is.
        flt: the filter without the candidates' settings.
        candidates: two or more.
        split: digest of the split that all are trained on.
        rule: of the choice.
        halving: True to stop what is behind on validation after a quarter and half of the epochs.
        progress: told what is done.

    Returns:
        The selection, which lies in the store.

    Raises:
        InputError: a candidate can't be trained, its base model can't be had, or its instruction crowds out the article.
    """
    ranked = cheapest_first(store, candidates)
    terms = terms_of(store, ranked)
    for sentence in unequal(terms):
        progress.note(sentence)
    rounds, done, seconds = list[Rung](), dict[str, Trained](), dict[str, float | None]()
    going = list(ranked)
    longest = max(each.filter.spec.training.epochs for each in ranked)
    for epochs in rungs(longest) if halving else [longest]:
        for at, each in enumerate(going, start=1):
            progress.note(f"candidate {at} of {len(going)}: {each.name}" + (f", {epochs} epochs" if halving else ""))
            trained = _train(store, each, split, epochs if halving else None, progress)
            done[each.name] = trained._replace(terms=terms.get(each.name))
            taken = done[each.name].record.seconds
            seconds[each.name] = None if taken is None else (seconds.get(each.name) or 0.0) + taken
        if halving:
            errors = {each.name: done[each.name].student.validation_mae for each in going}
            kept = survivors(errors) if epochs < longest else list(errors)
            rounds.append(Rung(epochs=epochs, errors=dict(errors), kept=kept))
            going = [each for each in going if each.name in kept]
    finished = [done[each.name] for each in going]
    stopped = [done[each.name] for each in ranked if each not in going]
    return _decide(store, flt, split, rule, finished, stopped, rounds, seconds, progress)


def _decide(
    store: Store, flt: Filter, split: str, rule: Rule, finished: list[Trained], stopped: list[Trained], rounds: list[Rung],
    seconds: dict[str, float | None], progress: Progress,
) -> Selected:  # fmt: skip
    """Hold the candidates against one another on validation, choose, and open the test part for the chosen."""
    stored = StoredSplit(store, split)
    validation = stored.tables().validation
    part = test_digest(validation)
    records = {each.candidate.name: _predict(store, each, part, validation, progress) for each in finished}
    predictions = {name: _raw(store, each, part, record, validation) for (name, record), each in zip(
        records.items(), finished, strict=True
    )}  # fmt: skip
    labels = scores(validation, flt.dimensions)
    errors = {name: float(np.abs(values - labels).mean()) for name, values in predictions.items()}
    measured = [
        Measured(each.candidate.name, each.recipe, errors[each.candidate.name], each.work, each.memory) for each in finished
    ]
    choice = choose(measured, rule)
    best, chosen = choice.best.names[0], choice.chosen.names[0]
    progress.note(f"chosen on validation: {chosen} ({rule}); the test part is opened for it and the adapter in use")
    trained = next(each for each in finished if each.candidate.name == chosen)
    opened = benchmark(store, trained.filter, adapter=trained.adapter, split=split, progress=progress)

    def work() -> Outcome:
        types = validation["content_type"].to_pylist() if "content_type" in validation.schema.names else None
        order = sorted(predictions, key=lambda name: (name != best, errors[name], name))
        sides = [judged(flt, labels, predictions[name], types) for name in order]
        rows = {row.path: row for row in paired(sides, part, lambda path: path == "mae" or path.endswith(".mae"))}
        spans = {name: _interval(predictions[name], labels, part) for name in order}
        table = [_figures(each, order, rows, spans) for each in finished]
        document = Selection(
            filter=flt.name,
            split=split,
            validation=validation.num_rows,
            rule=str(rule),
            candidates=[*sorted(table, key=lambda row: (row.mae or 0.0, row.name)), *map(_stopped, stopped)],
            recipes=[RecipeFigures(candidates=each.names, mae=each.mae, spread=each.spread) for each in choice.recipes],
            ensembles=ensembles(choice.recipes, predictions, labels, best=best, seed=part),
            languages=_languages(validation, predictions, labels),
            rungs=rounds,
            best=best,
            chosen=chosen,
            decisive=_decisive(choice, table),
            opened=_opened(store, trained, opened),
        )
        data = document.to_bytes()
        digest = digest_bytes(data)
        store.put(selection_key(flt.name, digest), data)
        return Outcome({"selection": digest}, [selection_key(flt.name, digest)])

    inputs: dict[str, Any] = {
        "filter": flt.name,
        "split": split,
        "rule": str(rule),
        "candidates": [[each.candidate.name, list(each.candidate.settings), each.adapter] for each in (*finished, *stopped)],
        "predictions": {name: record.outputs["predictions"] for name, record in records.items()},
        "rungs": [rung.to_json() for rung in rounds],
        "benchmark": opened.outputs["benchmark"],
        "parts": parts(flt, "benchmark"),
        "code": CODE,
    }
    record = run_step(store, "select-student", inputs, work, note=progress.note)
    document = Selection.load(store, record.keys[0], digest=record.outputs["selection"])
    return Selected(document, record.outputs["selection"], {name: _rate(each) for name, each in records.items()}, seconds)


def _train(store: Store, candidate: Candidate, split: str, epochs: int | None, progress: Progress) -> Trained:
    """Train a candidate, with as many epochs at most, or find that done."""
    from distillery.components.student.memory import body_in, multiplied, serve_need
    from distillery.components.student.resolve import resolve_base
    from distillery.components.training.train import train

    flt, wished = candidate.filter, candidate.filter.spec.training.epochs
    if epochs is not None and epochs < wished:
        flt = with_overrides(flt, [f"training.epochs={epochs}"])
    record = train(store, flt, split=split, progress=progress)
    adapter = str(record.outputs["adapter"])
    student = about_bundle(store, flt.name, adapter).student
    base = resolve_base(flt.spec.student.baseModel, flt.spec.student.revision, store)
    body = body_in(base.path, base.ref)
    work = 2 * multiplied(body) * _tokens(store, flt, adapter, student, split) / GFLOP
    memory = serve_need(body, student.maxLength, student.lora, len(student.dimensions)).total / MB
    return Trained(candidate, flt, record, student, work, memory)


def _tokens(store: Store, flt: Filter, adapter: str, student: StudentFacts, split: str) -> float:
    """Return the mean tokens of an article as the student reads it, from what the training counted."""
    folder = bundle_folder(store, flt.name, adapter)
    epochs = len(HistoryFile.read(folder.read(HISTORY), f"{folder.where}/{HISTORY}").epochs)
    return student.tokens / max(1, epochs * StoredSplit(store, split).rows.train)


def cheapest_first(store: Store, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return candidates in the order in which they are trained.

    Args:
        store: where base models are looked for, after this machine.
        candidates: in any order.

    Returns:
        The same, by about how much work the training takes.

    Raises:
        InputError: a candidate's pooling makes no sense for its base model.
    """
    return sorted(candidates, key=lambda each: _cost(store, each))


def _cost(store: Store, candidate: Candidate) -> float:
    """Return about how much work a training takes, to begin with the cheapest."""
    from distillery.components.student.architectures import ARCHITECTURES
    from distillery.components.student.memory import body_in, multiplied
    from distillery.components.student.pooling import pooling_of
    from distillery.components.student.resolve import base_body, resolve_base

    student, training = candidate.filter.spec.student, candidate.filter.spec.training
    body = base_body(student.baseModel, student.revision, store)
    if body is None:
        base = resolve_base(student.baseModel, student.revision, store)
        body = body_in(base.path, base.ref)
    try:
        pooling_of(student.pooling, ARCHITECTURES[body.config["model_type"]].kind)
    except InputError as error:
        what = f"candidate {candidate.name!r}: {error.what}"
        raise InputError(what, where=candidate.where, hint=error.hint, parameter="candidates") from error
    return float(multiplied(body)) * student.maxLength * training.epochs


def _predict(store: Store, each: Trained, part: str, validation: pa.Table, progress: Progress) -> StepRecord:
    return predict(store, each.filter, each.adapter, part, lambda: validation, progress=progress)


def _raw(store: Store, each: Trained, part: str, record: StepRecord, validation: pa.Table) -> Floats:
    """Return the raw scores for the validation part within 0-10, in its order."""
    table = read_predictions(store, each.adapter, part, record.outputs["predictions"])
    row_of = {article: row for row, article in enumerate(table["article"].to_pylist())}
    rows = [row_of[article] for article in validation["article"].to_pylist()]
    columns = [table[f"raw.{name}"].to_numpy()[rows] for name in each.filter.dimensions]
    raw: Floats = np.clip(np.column_stack(columns), 0.0, 10.0)
    return raw


def _interval(values: Floats, labels: Floats, seed: str) -> tuple[float, float] | None:
    errors = np.abs(values - labels).mean(axis=1)
    return intervals(lambda weights: {"mae": weights @ errors / weights.sum(axis=1)}, len(errors), seed)["mae"]


def _languages(validation: pa.Table, predictions: dict[str, Floats], labels: Floats) -> list[LanguageFigures]:
    """Return the errors in each language; none where all articles are in one."""
    found, slicing = list[LanguageFigures](), by_language(validation)
    for at, language in enumerate(slicing.values):
        rows = slicing.group == at
        errors: dict[str, float | None] = {
            name: float(np.abs(values[rows] - labels[rows]).mean()) for name, values in predictions.items()
        }
        found.append(LanguageFigures(language=language, articles=int(rows.sum()), errors=errors))
    return found if len(found) > 1 else []


def _rate(record: StepRecord) -> float | None:
    """Return the articles a second of a prediction; None for one made before the reading was timed."""
    count, seconds = record.facts.get("articles"), record.facts.get("reading_seconds")
    known = isinstance(count, int) and isinstance(seconds, int | float) and seconds > 0
    return count / seconds if known else None  # type: ignore[operator]


def _figures(
    each: Trained, order: Sequence[str], rows: dict[str, FigureRow], spans: dict[str, tuple[float, float] | None]
) -> CandidateFigures:
    name = each.candidate.name
    at = order.index(name)
    delta = rows["mae"].deltas[at - 1] if at else None
    own = "not decisive" if delta is None else delta.judgement
    return CandidateFigures(
        **_known(each),
        stopped=None,
        mae=rows["mae"].values[at],
        interval=spans[name],
        difference=delta.difference if delta else 0.0,
        difference_interval=delta.interval if delta else None,
        judgement="" if delta is None else own,
        dimensions={path.split(".")[1]: row.values[at] for path, row in rows.items() if path.startswith("dimensions.")},
    )


def _stopped(each: Trained) -> CandidateFigures:
    return CandidateFigures(
        **_known(each),
        stopped=each.filter.spec.training.epochs,
        mae=each.student.validation_mae,
        interval=None,
        difference=None,
        difference_interval=None,
        judgement="",
        dimensions={},
    )


def _known(each: Trained) -> dict[str, Any]:
    return {
        "name": each.candidate.name,
        "settings": list(each.candidate.settings),
        "base": each.student.base.ref,
        "adapter": each.adapter,
        "train_mae": each.student.train_mae,
        "trainable": each.student.trainable_parameters,
        "work": each.work,
        "memory_mb": each.memory,
        "instruction_tokens": each.terms.instruction if each.terms else None,
        "article_tokens": each.terms.article if each.terms else None,
    }


def _decisive(choice: Choice, table: Sequence[CandidateFigures]) -> bool:
    """Return whether the chosen is shown to differ from the best, or, where it is the best, the next recipe from it."""
    if choice.chosen is not choice.best:
        name = choice.chosen.names[0]
    elif len(choice.recipes) > 1:
        name = choice.recipes[1].names[0]
    else:
        return False
    return next(row for row in table if row.name == name).judgement in ("better", "worse")


def _opened(store: Store, trained: Trained, record: StepRecord) -> Opened:
    outputs = record.outputs
    document = read_benchmark(store, trained.adapter, outputs["test"], outputs["benchmark"])
    incumbent = document.incumbent
    return Opened(
        benchmark=outputs["benchmark"],
        test=outputs["test"],
        articles=document.n,
        mae=document.mae,
        interval=document.interval("mae"),
        overall_mae=document.overall_mae,
        incumbent=incumbent.adapter if incumbent else None,
        incumbent_mae=incumbent.mae if incumbent else None,
        difference=incumbent.difference if incumbent else None,
        difference_interval=incumbent.interval if incumbent else None,
    )
