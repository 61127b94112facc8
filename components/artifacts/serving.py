"""How a student is served: the plan that a benchmark judged, and the record of the plans that give what fp32 gives.

Both can be read without torch. A plan in another precision than fp32 serves only where the bundle's parity record says that it
predicts what fp32 predicts.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, model_validator

from distillery.components.artifacts.document import Document
from distillery.components.store import NotFound, Store
from distillery.components.store.layout import judged_key

PARITY: Final = "parity.json"  # a file of the bundle; bundles without one serve in fp32
MIN_ARTICLES: Final = 200  # fewer say too little about the thousandth
P999, LARGEST, MAE_CHANGE = 0.05, 0.1, 0.002  # points

Device = Literal["cpu", "cuda"]
Precision = Literal["fp32", "bf16", "fp16"]
Engine = Literal["torch", "openvino"]
Points = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Raw = Annotated[float, Field(allow_inf_nan=False)]


class Plan(Document):
    """Where a student runs, in which precision, by which engine."""

    KIND: ClassVar[str] = "a plan of serving"

    device: Device = "cpu"
    precision: Precision = "fp32"
    engine: Engine = "torch"

    def __str__(self) -> str:
        """Return the plan as notes and job digests have it."""
        return f"{self.precision} on {self.device} by {self.engine}"


def judged_plan(store: Store, adapter: str, precision: str) -> Plan | None:
    """Return the plan in which the benchmark read an adapter.

    Args:
        store: where it was noted.
        adapter: digest of the adapter.
        precision: what the filter wishes for, such as auto.

    Returns:
        The plan; None where no benchmark noted one.

    Raises:
        StoreError: the note can't be read.
    """
    try:
        return Plan.load(store, judged_key(adapter, precision))
    except NotFound:
        return None


class Candidate(Document):
    """What a plan predicts for the validation part, against fp32. Differences of final scores, in points.

    Attributes:
        plan: the plan.
        p999: 99.9th percentile of the differences.
        largest: the largest difference.
        mae: validation MAE in this plan.
        mae_fp32: the same in fp32.
        tiers_flipped: articles that come into another tier.
        passed: whether the differences are within the bounds.
        golden: (n, D) raw predictions of the bundle's golden texts in this plan.
    """

    plan: Plan
    p999: Points
    largest: Points
    mae: Points
    mae_fp32: Points
    tiers_flipped: int = Field(ge=0)
    passed: bool
    golden: list[list[Raw]] = Field(min_length=1, max_length=64)

    @property
    def within(self) -> bool:
        """True if the figures are within the bounds, whatever `passed` says."""
        return self.p999 <= P999 and self.largest <= LARGEST and abs(self.mae - self.mae_fp32) <= MAE_CHANGE


class ParityFile(Document):
    """parity.json: the candidates, in the order in which they are preferred, compared on so many validation articles.

    A student over a base that was held in 4 bits may have been validated and packaged in bf16, for want of room for fp32. Then
    that is what is judged and what serves, its golden predictions are in bf16, and there is nothing that it was compared with.

    Attributes:
        articles: of the validation part.
        candidates: what was compared with fp32; none where the reference is another one.
        reference: the precision in which training validated and packaged the student.
    """

    KIND: ClassVar[str] = "the parity.json of a bundle"
    HINT: ClassVar[str] = "train it again, or restore the bundle from a copy"

    OMITTED: ClassVar[tuple[str, ...]] = ("reference",)

    format: Literal[1] = 1
    articles: int = Field(ge=1)
    candidates: list[Candidate] = Field(max_length=16)
    reference: Literal["fp32", "bf16"] = "fp32"

    @model_validator(mode="after")
    def _of_one_kind(self) -> ParityFile:
        if self.reference == "fp32" and (not self.candidates or self.articles < MIN_ARTICLES):
            raise ValueError(f"has no candidate, or fewer than {MIN_ARTICLES} articles")
        if self.reference != "fp32" and self.candidates:
            raise ValueError("has candidates, and another reference than fp32")
        return self

    def passing(self) -> list[Candidate]:
        """Return the candidates that may serve.

        Returns:
            Those that passed and whose figures say so, too, in their order.
        """
        return [candidate for candidate in self.candidates if candidate.passed and candidate.within]

    def lets(self, plan: Plan) -> bool:
        """True if a plan may serve.

        Args:
            plan: the plan.

        Returns:
            Whether it may; fp32 by torch always.
        """
        packaged = plan.engine == "torch" and plan.precision == self.reference
        return plan.precision == "fp32" or packaged or self.of(plan) is not None

    def of(self, plan: Plan) -> Candidate | None:
        """Return the candidate of a plan.

        Args:
            plan: the plan.

        Returns:
            The candidate; None where the plan was not compared, or did not pass.
        """
        return next((candidate for candidate in self.passing() if candidate.plan == plan), None)
