"""What `select` ranks articles by: examples, the serving student, or how far students disagree; and what they know already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from distillery.components.store import NotFound, Store, as_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    from distillery.components.artifacts.bundle import StudentFacts
    from distillery.components.runtime.progress import Progress
    from distillery.components.sampling.draw import Affinity
    from distillery.components.student.student import Student

COMMITTEE: Final = 3  # students that are asked where none is named: each is a pass over the pool
WEAKEST: Final = 3  # one of so many dimensions is weak


def affinity_of(store: Store, flt: Filter, examples: str) -> tuple[Affinity | None, str]:
    """Return what enrichment ranks by, and its name for the manifest.

    Args:
        store: where the promoted student is.
        flt: the filter.
        examples: a file of examples, which take precedence over the student; empty for none.

    Returns:
        The measure and its name; (None, "") where there is neither, which `draw` refuses.

    Raises:
        InputError: the examples can't be read, or the student can't be opened.
    """
    from distillery.components.runtime.progress import reporter
    from distillery.components.sampling.affinity import by_examples, by_student

    if examples:
        from distillery.components.articles.articles import read_articles
        from distillery.components.articles.input_files import local_input
        from distillery.components.articles.rejects import Rejects
        from distillery.components.store import digest_json

        with local_input(examples, parameter="--examples") as path:
            found = list(read_articles(path, rejects=Rejects(), columns=flt.columns))
        digest = digest_json(sorted(article.digest for article in found))
        return by_examples(flt, found, store, reporter("select")), f"{len(found)} examples {digest}"

    from distillery.components.artifacts.channel import current

    pointer = current(store, flt.name, flt.spec.promotion.channel)
    if pointer is None:
        return None, ""
    progress = reporter("select")
    return by_student(flt, _opened(store, flt, pointer.adapter, progress), progress), f"adapter {pointer.adapter}"


def doubt_of(store: Store, flt: Filter, named: Sequence[str], progress: Progress) -> tuple[Affinity | None, str]:
    """Return what `weak` ranks by, and its name for the manifest: disagreement in the dimensions that are judged worst.

    Args:
        store: where adapters and benchmarks are.
        flt: the filter.
        named: adapters, as typed; none for the one that serves and the newest others of the filter's dimensions.
        progress: shows what is done.

    Returns:
        The measure and its name; (None, "") where there are not two students, which `draw` refuses.

    Raises:
        InputError: an adapter is not there, or it has other dimensions.
    """
    from distillery.components.artifacts.adapter import find_adapter
    from distillery.components.sampling.affinity import by_disagreement

    adapters = [find_adapter(store, text).adapter for text in named] or _committee(store, flt)
    adapters = list(dict.fromkeys(adapters))
    if len(adapters) < 2:
        return None, ""
    weakest = _weakest(store, flt, adapters[0])
    students = [_opened(store, flt, adapter, progress) for adapter in adapters]
    name = f"adapters {', '.join(adapter[:12] for adapter in adapters)} in {', '.join(weakest)}"
    return by_disagreement(flt, students, weakest, progress), name


def trained_articles(store: Store, flt: Filter) -> frozenset[str]:
    """Return the articles of the label set from which the serving student's split was made, or the newest student's.

    Args:
        store: where they are.
        flt: the filter.

    Returns:
        Digests of articles: those it learned from, those that chose its epoch, and those it was judged on.

    Raises:
        InputError: there is no student, or its labels are no longer in the store.
    """
    from distillery.components.artifacts.split import StoredSplit, load_labels

    for adapter in _students(store, flt):
        try:
            labels = load_labels(store, StoredSplit(store, _facts(store, flt, adapter).split).label_set)
        except NotFound:
            hint = "leave --exclude-trained out"
            raise InputError(
                f"the labels of adapter {adapter[:12]} are not in this store", where=store.uri, hint=hint
            ) from None
        return frozenset(labels["article"].to_pylist())
    hint = "train one first, or leave --exclude-trained out"
    raise InputError(f"{flt.name} has no student in this store", where=store.uri, hint=hint)


def _students(store: Store, flt: Filter) -> list[str]:
    """Return the filter's adapters: the one that serves, then the others, newest first."""
    from distillery.components.artifacts.channel import current
    from distillery.pipelines.inventory.adapters import read_bundles

    pointer = current(store, flt.name, flt.spec.promotion.channel)
    serving = [pointer.adapter] if pointer else []
    return list(dict.fromkeys([*serving, *(bundle.digest for bundle in read_bundles(store, flt.name))]))


def _committee(store: Store, flt: Filter) -> list[str]:
    found: list[str] = []
    for adapter in _students(store, flt):
        if len(found) < COMMITTEE and _facts(store, flt, adapter).dimensions == flt.dimensions:
            found.append(adapter)
    return found


def _facts(store: Store, flt: Filter, adapter: str) -> StudentFacts:
    from distillery.components.artifacts.bundle import STUDENT, StudentFacts
    from distillery.components.store.layout import adapters_folder

    folder = store.folder(adapters_folder(flt.name), as_digest(adapter))
    return StudentFacts.read(folder.read(STUDENT), f"{folder.where}/{STUDENT}")


def _weakest(store: Store, flt: Filter, adapter: str) -> list[str]:
    """Return the third of the dimensions in which an adapter's benchmark has the largest errors; all where it has none."""
    from distillery.components.artifacts.adapter import find_summary
    from distillery.components.artifacts.benchmark import read_benchmark

    try:
        outputs = find_summary(store, adapter).outputs
        named = [str(outputs.get(name) or "") for name in ("adapter", "test", "benchmark")]
        errors = {name: row.mae or 0.0 for name, row in read_benchmark(store, *named).dimensions.items()} if all(named) else {}
    except (InputError, NotFound):
        errors = {}
    known = [name for name in flt.dimensions if name in errors]
    worst = sorted(known, key=lambda name: -errors[name])[: -(-len(known) // WEAKEST)]
    return [name for name in flt.dimensions if name in worst] or flt.dimensions


def _opened(store: Store, flt: Filter, adapter: str, progress: Progress) -> Student:
    from distillery.components.student.bundle import open_bundle
    from distillery.components.student.devices import serving_plan

    plan = serving_plan(store, flt.name, adapter, flt.spec.student, progress)
    return open_bundle(store, flt.name, adapter, plan=plan)
