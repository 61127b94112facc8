"""Run claims: which run of a cluster works on these inputs, so that the same submission twice is one run."""

from __future__ import annotations

from typing import Literal

from distillery.components.artifacts.document import Document


class RunClaim(Document):
    """What a submitter writes before and after it starts a run.

    Attributes:
        run: id of the run; "" while it is being started.
        name: of the run, which is nobody else's.
        at: Unix time in seconds at which it was claimed, by the clock of who claimed it; for people, never compared.
        attempt: how many runs had these inputs before, and ended.
    """

    OMITTED = ("attempt",)

    KIND = "a claim of a run"
    HINT = "see that no run of these inputs is active, then delete it and submit again"

    format: Literal[1] = 1
    run: str
    name: str
    at: float
    attempt: int = 0
