"""The verdict of a filter's gates on an adapter: what the gate step writes, and promotion, commands and the report read."""

from __future__ import annotations

from typing import ClassVar, Literal

from distillery.components.artifacts.document import Document
from distillery.components.store import NotFound, Store, as_digest, canonical_json
from distillery.components.store.layout import verdict_key
from distillery.filters.errors import InputError

AGAIN = "run again: what hasn't changed is reused"

RuleVerdict = Literal["pass", "review", "fail", "not applicable"]
Decision = Literal["promote", "approve", "reject"]


class Rule(Document):
    """What one gate found.

    argument: the tier, dimension or baseline that narrows the metric. value, interval: None where not known. direction:
    whether the judged number must be below the bound or at least it. by: "point" judges the value, "interval" the worse end of
    its interval. review: the bound between which and `bound` a person decides; None where the gate has none.
    """

    OMITTED: ClassVar[tuple[str, ...]] = ("review",)

    metric: str
    argument: str | None
    value: float | None
    bound: float
    direction: Literal["below", "atLeast"]
    by: Literal["point", "interval"]
    interval: tuple[float, float] | None
    verdict: RuleVerdict
    reason: str
    review: float | None = None


class Verdict(Document):
    """A verdict counts for what it names and for nothing else.

    filter: name. adapter, test, benchmark, policy, incumbent: digests; policy covers gates and approval, incumbent is None
    where the channel had none. passed: no rule fails. decision: "approve" where a person must approve an adapter that passed,
    since the filter asks for it or a rule is to be reviewed.
    """

    KIND: ClassVar[str] = "a verdict"
    HINT: ClassVar[str] = AGAIN

    format: Literal[1] = 1
    filter: str
    adapter: str
    test: str
    benchmark: str
    policy: str
    incumbent: str | None
    rules: list[Rule]
    passed: bool
    decision: Decision

    @property
    def reviews(self) -> list[Rule]:
        """Return the rules that a person must decide on."""
        return [rule for rule in self.rules if rule.verdict == "review"]

    def to_bytes(self) -> bytes:
        """Return the bytes whose digest names the verdict: canonical JSON.

        Returns:
            JSON in UTF-8.
        """
        return canonical_json(self.to_json())


def read_verdict(store: Store, name: str, digest: str) -> Verdict:
    """Return a verdict, its bytes verified against its digest.

    Args:
        store: where it is.
        name: name of the filter.
        digest: digest of the verdict.

    Returns:
        The verdict.

    Raises:
        InputError: there is none with this digest.
        StoreError: its bytes were altered, or it has another form.
    """
    try:
        return Verdict.load(store, verdict_key(name, digest), digest=as_digest(digest))
    except NotFound as error:
        raise InputError(f"there is no verdict {digest[:12]}… for {name}", where=store.uri, hint=AGAIN) from error
