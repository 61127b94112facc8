"""What has been measured about a rubric with an oracle: its calibration, and the noise floor of its labels.

Both lie under the two digests, so a word changed in the rubric or another model has neither. Labelling many articles is
refused without a PASS; the price of asking is one small read. Documents hold what was tried before, changed by
conditional put only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from distillery.components.store import Digest, Json, NotFound, Store, StoreError, as_digest, digest_json
from distillery.components.store.layout import LABEL_SETS, calibration_key, noise_key
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

SAMPLE: Final = 60  # articles of a calibration sample, and of the fresh one after it
UNCALIBRATED: Final = 2 * SAMPLE  # as many as one calibration may be labelled without any
FREE: Final = "nothing is paid: recorded replies"
PASS, REVIEW, FAIL = "PASS", "REVIEW", "FAIL"
MIDDLE: Final = 5.0  # on-topic belongs at or above, off-topic below


class Limit(NamedTuple):
    """below `good`: PASS; below `bad`: REVIEW; else FAIL. `least`: marks without which nothing passes."""

    good: float
    bad: float
    least: int


LIMITS: Final = {"off": Limit(0.10, 0.20, 16), "on": Limit(0.20, 0.30, 10)}
WORDS: Final = {"off": f"off-topic articles scored {MIDDLE:g} or more", "on": f"on-topic articles scored below {MIDDLE:g}"}


def read_calibration(store: Store, flt: Filter, oracle: Mapping[str, Any]) -> dict[str, Json] | None:
    """The filter's calibration document with the oracle of this identity; None where there is none."""
    rubric, by = rubric_digest(flt), oracle_digest(oracle)
    return _read(store, calibration_key(flt.name, rubric, by), flt.name, rubric, by)


def read_noise(store: Store, name: str, rubric: str, oracle: Mapping[str, Any]) -> dict[str, Json] | None:
    """The noise measured for a rubric of filter `name` with the oracle of this identity; None where there is none."""
    by = oracle_digest(oracle)
    return _read(store, noise_key(name, rubric, by), name, rubric, by)


def noise_of(store: Store, name: str, label_set: str) -> dict[str, Json] | None:
    """The noise measured for those labels' rubric and oracle; None for labels that people brought, or where there is none."""
    meta = store.folder(LABEL_SETS, as_digest(label_set)).meta
    rubric, oracle = meta.get("rubric"), meta.get("oracle")
    return read_noise(store, name, rubric, oracle) if isinstance(rubric, str) and isinstance(oracle, Mapping) else None


def _read(store: Store, key: str, name: str, rubric: str, oracle: str) -> dict[str, Json] | None:
    try:
        document: dict[str, Json] = store.get_json(key)
    except NotFound:
        return None
    wanted = {"filter": name, "rubric": rubric, "oracle": oracle}
    if any(document.get(each) != value for each, value in wanted.items()):
        raise StoreError("speaks of another rubric or oracle than its name", where=f"{store.uri}/{key}", hint="delete it")
    return document


def free(oracle: Mapping[str, Any]) -> bool:
    """Whether its labels cost nothing, so that labelling before calibrating loses nothing."""
    return oracle.get("provider") == "replay"


def usable(document: Mapping[str, Any] | None) -> bool:
    """Whether this calibration lets labelling go on: PASS, or REVIEW that a person accepted with a reason."""
    if document is None:
        return False
    return document.get("verdict") == PASS or (document.get("verdict") == REVIEW and bool(document.get("accepted")))


def require_calibration(
    store: Store, flt: Filter, n_articles: int, waived: str | None = None, *, oracle: Mapping[str, Any]
) -> dict[str, Json]:
    """Refuses to label more than `UNCALIBRATED` articles with an uncalibrated oracle.

    n_articles: distinct articles of the file, labelled ones included. waived: a person's reason to go on without.
    oracle: its identity; recorded replies are paid already, so only a calibration that failed stops them.
    Returns what the label set records: {"calibration": "PASS" | "REVIEW" | "FAIL" | null,
    "accepted": the reason a REVIEW was accepted for, "waived": the reason given here}. InputError where refused.
    """
    document = read_calibration(store, flt, oracle)
    verdict = document.get("verdict") if document else None
    accepted = (document.get("accepted") or {}).get("reason") if document else None
    found: dict[str, Json] = {"calibration": verdict, "accepted": accepted, "waived": None}
    if n_articles <= UNCALIBRATED or usable(document):
        return found
    if document is None and free(oracle):
        return {**found, "waived": FREE}
    if waived and waived.strip():
        return {**found, "waived": waived.strip()}
    if document is None:
        what = f"this rubric is not calibrated with {flt.spec.oracle.model}: no label was looked at by anybody"
    else:
        reasons = "; ".join(str(reason) for reason in document.get("reasons", [])[:2])
        what = f"the calibration of this rubric with {flt.spec.oracle.model} says {verdict}: {reasons}"
    accept = ' (or accept it: `--accept "reason"`)' if verdict == REVIEW else ""
    raise InputError(
        f"{n_articles:,} articles would be labelled, but {what}",
        where=f"filter {flt.name}",
        hint=f"run `distillery calibrate {flt.name} --articles FILE` first{accept}, label {UNCALIBRATED} articles at most, "
        'or give {without_calibration} "reason"',
    )


def oracle_digest(oracle: Mapping[str, Any]) -> Digest:
    """The digest that both documents lie under, beside the rubric's."""
    return digest_json(dict(oracle))
