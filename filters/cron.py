"""Cron expressions: five fields as crontab has them, checked, and when they last fell due.

Kubeflow's cron has six fields, seconds first, and the last may be left out: it takes "0 3 * * *" for second 0 and minute 3 of
every hour. So what people write has five fields, and is made six for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from distillery.filters.errors import InputError

# The fields of people's cron, with the least and the greatest number of each, and the names that stand for numbers.
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
FIELDS: Final[tuple[tuple[str, int, int, Mapping[str, int]], ...]] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
SECONDS: Final = ("second", 0, 59, dict[str, int]())
NAMED: Final = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
HINT: Final = 'write five fields, as "0 3 * * *" for every night at three: minute, hour, day of month, month, day of week'
_PART = re.compile(r"(\*|\?|[0-9]{1,2}|[A-Z]{3})(?:-([0-9]{1,2}|[A-Z]{3}))?(?:/([0-9]{1,2}))?")


def six_fields(text: str) -> str:
    """Return a cron expression as Kubeflow has it, seconds first.

    Args:
        text: Five fields as crontab has them, six with seconds first, or one of NAMED.

    Returns:
        Six fields, or the name.

    Raises:
        InputError: It is none of these.
    """
    if text.strip() in NAMED:
        return text.strip()
    fields = text.upper().split()
    if len(fields) not in (5, 6):
        raise InputError(f"has {len(fields)} fields", where=f"--cron {text[:80]!r}", hint=HINT)
    known = FIELDS if len(fields) == 5 else (SECONDS, *FIELDS)
    checked = [_checked(field, *rest, text=text) for field, rest in zip(fields, known, strict=True)]
    return " ".join(checked if len(fields) == 6 else ["0", *checked])


def _checked(field: str, name: str, least: int, most: int, names: Mapping[str, int], *, text: str) -> str:
    """Return a field as Kubeflow has it, where Sunday is 0 and not 7; refuse what it would not take."""
    days: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise InputError(f"{name} {part[:40]!r} is none", where=f"--cron {text[:80]!r}", hint=HINT)
        first, last, step = match.groups()
        if first in "*?" and last:
            raise InputError(f"{name} {part[:40]!r} is none", where=f"--cron {text[:80]!r}", hint=HINT)
        begin = least if first in "*?" else _number(first, names)
        end = _number(last, names) if last else most if first in "*?" or step else begin
        every = int(step) if step else 1
        if begin is None or end is None or not least <= begin <= end <= most or every < 1:
            hint = f"{name} goes from {least} to {most}" + (f", or {', '.join(names)}" if names else "")
            raise InputError(f"{name} {part[:40]!r} is out of range", where=f"--cron {text[:80]!r}", hint=hint)
        days |= {day % 7 for day in range(begin, end + 1, every)}
    if most == 7 and "7" in field:
        return ",".join(map(str, sorted(days)))
    return field


def _number(word: str, names: Mapping[str, int]) -> int | None:
    return int(word) if word.isdigit() else names.get(word)


_DAYS_OFF: Final = 366 * 9  # days: a 29th of February is never further away
_NAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def latest(text: str, now: datetime) -> datetime | None:
    """Return when an expression last fell due.

    Args:
        text: what `six_fields` takes; a field of seconds is not heeded.
        now: the time.

    Returns:
        The last minute up to now; None where it falls due on no day, such as a 30th of February.

    Raises:
        InputError: the text is no expression.
    """
    return _nearest(text, now, -1)


def following(text: str, now: datetime) -> datetime | None:
    """Return when an expression falls due next.

    Args:
        text: what `six_fields` takes; a field of seconds is not heeded.
        now: the time.

    Returns:
        The first minute after now; None where it falls due on no day.

    Raises:
        InputError: the text is no expression.
    """
    return _nearest(text, now, 1)


def fault(text: str) -> tuple[str, str] | None:
    """Return what is wrong with an expression that a file holds.

    Args:
        text: the expression.

    Returns:
        What is wrong, and how to fix it; None where it is one, and falls due some day.
    """
    try:
        due = following(text, datetime(2000, 1, 1))
    except InputError as error:
        return error.what, error.hint
    return None if due else ("falls due on no day", "name a day that there is")


def _nearest(text: str, now: datetime, step: int) -> datetime | None:
    """Return when an expression falls due nearest to a time: up to it (step -1), or after it (step 1)."""
    six_fields(text)
    fields = _NAMES.get(text.strip(), text).upper().split()[-5:]
    numbers = [_numbers(field, *rest) for field, rest in zip(fields, FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = numbers
    either = "*" not in (fields[2][0], fields[4][0]) and "?" not in (fields[2][0], fields[4][0])
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for off in range(_DAYS_OFF):
        day = midnight + timedelta(days=off * step)
        by_date, by_week = day.day in days, day.isoweekday() % 7 in {number % 7 for number in weekdays}
        if day.month in months and ((by_date or by_week) if either else (by_date and by_week)):
            times = (
                day.replace(hour=hour, minute=minute) for hour in sorted(hours)[::step] for minute in sorted(minutes)[::step]
            )
            if found := next((time for time in times if (time > now if step > 0 else time <= now)), None):
                return found
    return None


def _numbers(field: str, name: str, least: int, most: int, names: Mapping[str, int]) -> set[int]:
    """Return the numbers that a field stands for, which was checked before."""
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        assert match, name
        first, last, step = match.groups()
        begin = least if first in "*?" else _number(first, names)
        end = _number(last, names) if last else most if first in "*?" or step else begin
        assert begin is not None
        assert end is not None
        found |= set(range(begin, end + 1, int(step or 1)))
    return found
