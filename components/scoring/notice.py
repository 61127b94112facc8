"""Tells whoever is notified of runs how a scoring on a cluster ended, well or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from distillery.components.runtime.notify import SCORED, Ended, tell
from distillery.components.runtime.progress import Progress
from distillery.filters.errors import one_line


@contextmanager
def announced(adapter: str, run: str, progress: Progress) -> Iterator[dict[str, Any]]:
    """Tell how the block ended.

    Args:
        adapter: a filter's name or an adapter's digest, as the scoring was asked for.
        run: name of the run.
        progress: told, without its address, where the webhook was not reached.

    Yields:
        Takes the outputs of the scoring.
    """
    outputs = dict[str, Any]()
    try:
        yield outputs
    except Exception as error:
        sentence = one_line(f"The scoring failed: {error}")[:500]
        tell(Ended(adapter, run, "failed", sentence, "", "", SCORED), progress)
        raise
    tell(Ended(adapter, run, "scored", _sentence(outputs), "", str(outputs.get("scores", "")), SCORED), progress)


def _sentence(outputs: Mapping[str, Any]) -> str:
    tiers = ", ".join(f"{number:,} {name}" for name, number in outputs.get("tiers", {}).items())
    left_out = f"{outputs.get('prefiltered', 0):,} left out by the prefilter, {outputs.get('rejected', 0):,} rejected"
    return f"Scored {outputs.get('scored', 0):,} articles{f' ({tiers})' if tiers else ''}; {left_out}."
