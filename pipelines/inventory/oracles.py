"""What was found of oracles, and drawn for people to mark: calibrations and samples, and what labels have cost."""

from __future__ import annotations

from collections import defaultdict

from distillery.components.artifacts.folder_meta import SampleMeta
from distillery.components.artifacts.rubric_calibration import RubricCalibration, require_its_name, usable
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.store import MANIFEST, Digest, Store
from distillery.components.store.layout import CALIBRATIONS, SAMPLES, calibration_key, step_records_folder
from distillery.pipelines.inventory.reading import Reader, Row, dollars, each, moment

Spent = dict[tuple[str, str, str], float]
"""US dollars by filter, rubric and oracle."""


def spent(store: Store) -> Spent:
    """Return what the labels of a store have cost, calibrations included.

    Each record of the label step says what its rubric and oracle had cost by then; the highest counts. A record that can't be
    read counts nothing.

    Args:
        store: the store.

    Returns:
        US dollars by filter, rubric and oracle.
    """
    keys = [entry.key for entry in store.entries(step_records_folder("label"))]
    reader = Reader()
    total: Spent = defaultdict(float)
    for record in each(keys, lambda key: reader.read(lambda: StepRecord.load(store, key))):
        if record is not None and (usd := dollars(record.facts)) is not None:
            name, rubric, oracle = (str(record.inputs.get(part, "")) for part in ("filter", "rubric", "oracle"))
            total[name, rubric, oracle] = max(usd, total[name, rubric, oracle])
    return dict(total)


def calibration_rows(store: Store, filter: str = "") -> list[Row]:
    """Return a row for each calibration of a rubric with an oracle.

    Args:
        store: the store.
        filter: name of a filter, to leave others out; empty for all.

    Returns:
        Rows, the newest calibration first.
    """
    costs = spent(store)
    entries = []
    for entry in store.entries(f"{CALIBRATIONS}/{filter}" if filter else CALIBRATIONS):
        _, name, *rest = entry.key.split("/")
        rubric, _, oracle = rest[0].removesuffix(".json").partition("-") if len(rest) == 1 else ("", "", "")
        if oracle:  # else the list of attempts, or a page
            entries.append((name, rubric, oracle, entry))

    def row(found: tuple[str, str, str, object]) -> Row:
        name, rubric, oracle, _ = found
        reader = Reader()
        document = reader.read(lambda: _calibration(store, name, rubric, oracle))
        return {
            "name": f"{rubric[:12]}-{oracle[:12]}",
            "filter": name,
            "rubric": rubric,
            "oracle": oracle,
            "model": document.model if document else None,
            "verdict": document.verdict if document else None,
            "usable": usable(document),
            "accepted": document.accepted.reason if document and document.accepted else None,
            "by": document.marks.by if document else None,
            "marked": document.marks.on + document.marks.off if document else None,
            "articles": document.figures.calibration.n if document else None,
            "usd": costs.get((name, rubric, oracle)),
            "reason": "; ".join(document.reasons) if document else "",
            "modified": moment(found[3].modified),  # type: ignore[attr-defined]
            "error": reader.error,
        }

    return each(sorted(entries, key=lambda found: -found[3].modified), row)


def _calibration(store: Store, name: str, rubric: str, oracle: str) -> RubricCalibration:
    key = calibration_key(name, rubric, oracle)
    document = RubricCalibration.load(store, key)
    about = (document.filter, document.rubric, document.oracle)
    require_its_name(about, (name, rubric, oracle), f"{store.uri}/{key}")
    return document


def calibration_details(store: Store, row: Row) -> Row:
    """Return what `describe` says of a calibration beside its row.

    Args:
        store: the store.
        row: of the calibration.

    Returns:
        The oracle, the samples, the marks and the figures; nothing where the document can't be read.
    """
    document = Reader().read(lambda: _calibration(store, row["filter"], row["rubric"], row["oracle"]))
    wanted = ("identity", "marks", "samples", "figures", "agreement")
    return {name: value for name, value in document.to_json().items() if name in wanted} if document else {}


def sample_rows(store: Store, filter: str = "") -> list[Row]:
    """Return a row for each sample that was drawn.

    Args:
        store: the store.
        filter: name of a filter, to leave others out; empty for all.

    Returns:
        Rows, the newest sample first.
    """
    times = {entry.key.split("/")[1]: entry.modified for entry in store.entries(SAMPLES) if entry.key.endswith(f"/{MANIFEST}")}

    def row(digest: str) -> Row:
        reader = Reader()
        folder = reader.read(lambda: store.folder(SAMPLES, Digest(digest)))
        meta = reader.read(lambda: SampleMeta.of(folder)) if folder else None
        return {
            "name": digest,
            "filter": meta.filter if meta else None,
            "articles": sum(meta.drawn.values()) if meta else None,
            "corpus": meta.corpus if meta else None,
            "enriched_by": meta.enriched_by if meta else None,
            "seed": meta.seed if meta else None,
            "size": sum(entry.size for entry in folder.files.values()) if folder else None,
            "modified": moment(times[digest]),
            "error": reader.error,
        }

    rows = each(sorted(times, key=lambda digest: (-times[digest], digest)), row)
    return [row for row in rows if filter in ("", row["filter"])]


def sample_details(store: Store, row: Row) -> Row:
    """Return what `describe` says of a sample beside its row.

    Args:
        store: the store.
        row: of the sample.

    Returns:
        The rules it was drawn by and the strata; nothing where the manifest can't be read.
    """
    meta = Reader().read(lambda: SampleMeta.of(store.folder(SAMPLES, Digest(row["name"]))))
    return meta.model_dump(mode="json", include={"shares", "drawn", "excluded", "strata", "prefilter"}) if meta else {}
