"""The sections of a filter that only a cluster's operator reads: how it starts a run, and when new articles start one."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from distillery.filters.fields import Location, Positive, Slug, Strict

SECONDS: Final = {"m": 60.0, "h": 3600.0, "d": 86_400.0}


class Run(Strict):
    """What the cluster's operator starts a run of this filter with; a command line has options for it."""

    profile: Slug | None = Field(default=None, description="A named set of overrides, such as laptop; null: none.")
    marks: Location | None = Field(
        default=None,
        description='What the calibration goes by: a file of marks, "prefilter" or "reference"; null: nothing yet.',
    )
    budget: Positive | None = Field(
        default=None, description="US dollars that the labels may cost, earlier runs included; null: no paid call is made."
    )
    maxRejects: Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?%?$", max_length=20)] = Field(
        default="0", description='How many bad rows of labels may be left out, "20" or "1%".'
    )
    gpus: int = Field(default=0, ge=0, le=64, description="GPUs of the training pod, or of each node; 0: on the CPU.")
    trainer: Literal["pod", "trainjob"] = Field(
        default="pod", description="pod: in one pod; trainjob: in a Kubeflow TrainJob over several nodes."
    )


class Retrain(Strict):
    """Within which limits articles that come to `data.articles`, and drift, start a run; without it they start none."""

    minNew: int = Field(default=1, ge=1, le=100_000_000, description="Articles without a label that must have come, at least.")
    budget: Positive | None = Field(
        default=None, description="US dollars that the labels of one such run may cost; null: what is left of run.budget."
    )
    schedule: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="When one may begin, five fields as in crontab, in UTC; null: at any time."
    )
    coolDown: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}[mhd]$", max_length=6)] | None = Field(
        default=None, description="Time from one run to the next at least, in minutes, hours or days: 90m, 12h, 7d; null: none."
    )
    onDrift: Literal["ignore", "retrain"] = Field(
        default="ignore",
        description="retrain: a drift that is found starts one run, however few articles are new, and whatever the schedule.",
    )

    @property
    def pause(self) -> float:
        """Return the shortest time from one run to the next, in seconds."""
        return float(self.coolDown[:-1]) * SECONDS[self.coolDown[-1]] if self.coolDown else 0.0
