"""Texts whose raw predictions travel with a bundle: whoever loads it scores them again and compares.

A bundle can have the right keys and still be another model (a head that was never saved, another base); eight articles
and half a second show it. The texts are ours, made up, of various lengths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from distillery.components.artifacts.bundle import CONTENT_TYPES, REDO
from distillery.components.student.content_types import REDUCED_TOLERANCE as TYPES_REDUCED
from distillery.components.student.content_types import TOLERANCE as TYPES_TOLERANCE
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from distillery.components.student.student import Student

GOLDEN_TOLERANCE = 1e-3
# In bf16 and fp16 processors round sums at other places; another model, or a head that was not saved, is off by whole points.
REDUCED_TOLERANCE = 0.05

_LONG = (
    "The town switched its district heating from gas to a river-source heat pump of 4 megawatts. Over two winters the utility "
    "published hourly data: the pump delivered three units of heat for each unit of power, bills fell by 12 percent, and the "
    "backup boiler ran for 31 days. Residents on low incomes got a capped tariff. Critics note that the grid connection came "
    "eighteen months late and that the river licence limits how much heat may be taken in a dry summer. "
)

GOLDEN: list[tuple[str, str]] = [
    ("River heat pump warms a town", _LONG),
    ("River heat pump warms a town", _LONG * 4),
    ("Pilot stopped", "The battery pilot was stopped after nine months: two of three cells failed and no data were published."),
    (
        "Startup claims a breakthrough",
        "A startup says its film doubles the yield of any solar panel. It names no test, no price and no date.",
    ),
    (
        "Coöperatie bouwt zonnedak",
        "Vijfhonderd huishoudens bouwden samen een zonnedak op de school. Wie niet kon betalen, deed mee zonder inleg; "
        "de opbrengst is na drie jaar gemeten en openbaar.",
    ),
    ("Minister belooft wet", "De minister kondigde opnieuw een wet aan voor schoon staal. Een datum noemde zij niet."),
    (
        "Shares fall on rate fears",
        "Stocks slid on Tuesday as traders weighed another rise in interest rates. Banks led the losses.",
    ),
    ("Recipe of the week", "Bake the apples for forty minutes."),
]


def golden_texts() -> list[tuple[str, str]]:
    """Return the texts whose predictions travel with a bundle.

    Returns:
        (title, content) pairs.
    """
    return list(GOLDEN)


def check_golden(student: Student) -> float:
    """Score the bundle's golden texts again, together and each alone, and compare raw and final scores.

    Args:
        student: the opened student.

    Returns:
        The largest difference in points.

    Raises:
        InputError: the difference is above 0.001, or 0.05 where it is not served in fp32.
    """
    texts, raw = student.golden
    tolerance = GOLDEN_TOLERANCE
    if own := student.parity and student.parity.of(student.plan):
        raw, tolerance = np.array(own.golden), REDUCED_TOLERANCE
    elif student.plan.precision != "fp32":  # the one that it was packaged in
        tolerance = REDUCED_TOLERANCE
    together = student.predict(texts)
    alone = np.concatenate([student.predict([text]) for text in texts])
    differences = [together - raw, alone - raw, *(student.scores(each) - student.scores(raw) for each in (together, alone))]
    # NaN in any of them makes the largest NaN.
    difference = float(np.max([np.abs(each).max() for each in differences]))
    # Written so that NaN fails.
    if not difference <= tolerance:
        what = f"doesn't reproduce its golden predictions in {student.plan.precision}"
        if float(np.abs(together - alone).max()) > tolerance:
            what = "gives an article other scores when others share its batch"
        raise InputError(f"the loaded student {what} (off by {difference:.3g} points)", where="golden.json", hint=REDO)
    _check_types(student)
    return difference


def _check_types(student: Student) -> None:
    """Raise unless a student gives its golden texts the content types' probabilities that its bundle has, in any batch."""
    if student.types is None or not student.types.names:
        return
    texts, wanted = student.golden[0], np.array(student.types.file.golden)
    tolerance = TYPES_TOLERANCE if student.plan.precision == "fp32" else TYPES_REDUCED
    together = student.with_probabilities(student.tokens(texts))[1]
    alone = np.concatenate([student.with_probabilities(student.tokens([text]))[1] for text in texts])
    difference = float(np.max([np.abs(together - wanted).max(), np.abs(alone - wanted).max()]))
    if not difference <= tolerance:
        what = f"the loaded student gives other content types (off by {difference:.3g}) in {student.plan.precision}"
        raise InputError(what, where=CONTENT_TYPES, hint=REDO)
