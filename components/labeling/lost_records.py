"""Tells of records that the journal has lost, before their articles are asked about, and paid, once more."""

from __future__ import annotations

from distillery.components.labeling.journal import SEGMENT_LINES, Journal
from distillery.components.runtime.progress import Progress

SHOWN = 5


def tell_lost(journal: Journal, noted: int, calls: int, most: float | None, progress: Progress) -> None:
    """Say in one line how many records are gone, and what they cost at most; then close the journal's gaps.

    Args:
        journal: the journal, as it was read.
        noted: records that it had when the last run ended; 0 where nobody noted them.
        calls: calls that are to be made now.
        most: the most that one call costs, in US dollars; None where no price is known.
        progress: told of what is lost.
    """
    lost = max(noted - journal.records - journal.damaged, 0)
    if not lost and not journal.gaps:
        return
    again = min(calls, lost or SEGMENT_LINES * len(journal.gaps))
    what = f"{lost:,} records" if lost else f"up to {SEGMENT_LINES * len(journal.gaps):,} records"
    names = ", ".join(f"{number:06d}.jsonl" for number in journal.gaps[:SHOWN]) + ", …" * (len(journal.gaps) > SHOWN)
    where = f"{journal.store.uri}/{journal.prefix}" + f" ({names})" * bool(names)
    price = "" if most is None else f", for ${again * most:.4f} at most"
    progress.note(
        f"{what} of the journal {where} are gone: {again:,} calls at most are made again{price}; "
        "to save them, stop and restore the journal from a copy"
    )
    journal.close_gaps()
