"""The steps of a run, in order: their names, whose results each of them needs, and what each reads of the filter.

`distillery.filters.steps` orders the steps that read the filter; this table adds the others. The planner, the single commands,
the live view, whoever follows a run on a cluster and the report all work from it, and a test holds the compiled graph against
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from distillery.filters import steps as reading

if TYPE_CHECKING:  # the command line reads this table before it knows what it is asked for
    from distillery.filters.filter import Filter

Stage = Literal["check", "work", "end", "exit"]


@dataclass(frozen=True)
class RunStep:
    """One step of a run.

    Attributes:
        name: Its name in the graph, in records, in events and on the command line.
        needs: Names of the steps whose results it depends on; all of them stand earlier in the table.
        stage: check: refuses what could not end well. work: leaves a result that the next steps read. end: one of the ways a
            run ends, chosen by the gates' decision. exit: runs last, whatever happened.
        inner: Names of the steps that it does within itself and records on their own, so that they are reused on their own.
    """

    name: str
    needs: tuple[str, ...]
    stage: Stage
    inner: tuple[str, ...] = ()

    def reads(self, flt: Filter) -> dict[str, Any]:
        """Return what the step itself reads of the filter, which is nothing for most checks and ends.

        Args:
            flt: The resolved filter.

        Returns:
            Plain JSON values by name of the section; empty for a step that reads none.
        """
        from distillery.filters.digests import parts

        return parts(flt, self.name) if self.name in reading.STEPS else {}


INNER: Final = {"benchmark": ("predict",)}
STEPS: Final = (
    RunStep("preflight", (), "check"),
    RunStep("calibrate", ("preflight",), "check"),
    *(
        RunStep(name, reading.NEEDS[name] or ("preflight",), "end" if name == "promote" else "work", INNER.get(name, ()))
        for name in reading.STEPS
    ),
    RunStep("hold", ("gate",), "end"),
    RunStep("reject", ("gate",), "end"),
    RunStep("report", (), "exit"),
)


def names(*stages: Stage) -> tuple[str, ...]:
    """Return the names of the steps of these stages, in order.

    Args:
        stages: Which stages; none for all of them.

    Returns:
        Names of steps.
    """
    wanted = stages or get_args(Stage)
    return tuple(step.name for step in STEPS if step.stage in wanted)


WORK: Final = names("work")
# Each of them has a record of its own, found by the digest of its inputs.
LOOKED_UP: Final = tuple(name for step in STEPS if step.stage == "work" for name in (*step.inner, step.name))
WATCHED: Final = names("check", "work")  # each of them is a line of the live view, from the start
ENDS: Final = names("end")
RECORDED: Final = names("check", "work", "end")  # leave a record for the report

# The select-student pipeline: the choice, and the steps that have a line from the start; each candidate has one of its own.
SELECT: Final = "select-student"
CANDIDATE: Final = "candidate"  # a dash and its number behind it
SELECTION: Final = ("preflight", "candidates", *("label", "audit", "split"), SELECT)


def through(last: str) -> tuple[str, ...]:
    """Return the names of the working steps up to and including `last`.

    Args:
        last: Name of a working step.

    Returns:
        Names of steps, in order.

    Raises:
        ValueError: `last` is not a working step.
    """
    return WORK[: WORK.index(last) + 1]
