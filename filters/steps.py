"""The steps that read a filter, in the order of a run, and which of them follow from which.

`distillery.filters.digests.parts` says what each reads of a filter; `distillery.components.artifacts.steps` adds the steps of
a run that read nothing of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, get_args

Step = Literal["label", "audit", "split", "train", "benchmark", "gate", "promote"]
STEPS: Final[tuple[Step, ...]] = get_args(Step)
# The steps whose results each step's own result depends on. The audit refuses labels, and changes none.
NEEDS: Final[Mapping[Step, tuple[Step, ...]]] = {
    "label": (),
    "audit": ("label",),
    "split": ("label",),
    "train": ("split",),
    "benchmark": ("split", "train"),
    "gate": ("train", "benchmark"),
    "promote": ("gate",),
}


def downstream(steps: Collection[Step]) -> list[Step]:
    """Return `steps` and every step that depends on one of them.

    Args:
        steps: Names of the steps that changed.

    Returns:
        Their names and those of all that must be redone with them, in the order of a run.
    """
    redone: list[Step] = []
    for step in STEPS:
        if step in steps or any(need in redone for need in NEEDS[step]):
            redone.append(step)
    return redone
