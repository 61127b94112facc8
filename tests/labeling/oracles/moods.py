"""An OpenAI-compatible endpoint with moods: how it answers is data, seeded, and it keeps the bill of a real gateway.

    storm, well = Mood(seconds=60, faults={"429": 1.0}), Mood(latency=0.05)
    with MoodyServer([storm, well], seed=3) as server:
        ... oracle.baseUrl = server.url ...
        server.gateway_bill(price), server.began, server.answered

Moods follow one another from the first call on; the last one stays. What befalls a call is drawn for each call anew. A fault is
one of `OpenAIServer`, or `usage: NAME`, a whole reply whose bill is stated as in USAGES. A mood says which faults a gateway
bills although no reply comes of them.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from distillery.components.labeling.oracles.base import Usage
from distillery.components.labeling.oracles.prices import Price
from tests.labeling.oracles.servers import Fault, HttpRequest, HttpResponse, OpenAIServer, article_key, tokens

# Statements of what a call was billed; where the second is true, they can be read, and hold the truth.
USAGES: dict[str, tuple[Callable[[int, int], Any], bool]] = {
    "absent": (lambda given, made: None, False),
    "null": (lambda given, made: {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}, False),
    "half": (lambda given, made: {"prompt_tokens": given, "completion_tokens": None}, False),
    "words": (lambda given, made: {"prompt_tokens": f"{given} tokens", "completion_tokens": "some"}, False),
    "negative": (lambda given, made: {"prompt_tokens": -given, "completion_tokens": made}, False),
    "huge": (lambda given, made: {"prompt_tokens": 10**18, "completion_tokens": 2**63}, False),
    "zeros": (lambda given, made: {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, False),
    "nothing written": (lambda given, made: {"prompt_tokens": given, "completion_tokens": 0}, False),
    "not finite": (lambda given, made: {"prompt_tokens": 1e999, "completion_tokens": made}, False),
    "true": (lambda given, made: {"prompt_tokens": True, "completion_tokens": True}, False),
    "a list": (lambda given, made: [given, made], False),
    "a text": (lambda given, made: f"{given}/{made}", False),
    "digits": (lambda given, made: {"prompt_tokens": str(given), "completion_tokens": str(made)}, True),
    "floats": (lambda given, made: {"prompt_tokens": float(given), "completion_tokens": float(made)}, True),
    "other keys": (lambda given, made: {"input_tokens": given, "output_tokens": made}, True),
    "camel case": (lambda given, made: {"promptTokens": given, "completionTokens": made}, True),
    "total": (lambda given, made: {"prompt_tokens": given, "total_tokens": given + made}, True),
    "output and total": (lambda given, made: {"completion_tokens": made, "total_tokens": given + made}, True),
    "thinking apart": (
        lambda given, made: {"prompt_tokens": given, "completion_tokens": 1, "total_tokens": given + made,
                             "completion_tokens_details": {"reasoning_tokens": made - 1}}, True),
    "cache apart": (
        lambda given, made: {"input_tokens": given - 2, "cache_creation_input_tokens": 2, "output_tokens": made}, True),
}  # fmt: skip
_drawn: ContextVar[Fault] = ContextVar("drawn", default="")


@dataclass(frozen=True)
class Mood:
    """How an endpoint answers for a while.

    Attributes:
        seconds: how long, from the first call on or from the end of the mood before.
        latency: seconds for a reply, the median.
        spread: standard deviation of the latency's logarithm; 0 for the same latency always.
        faults: share of the calls by fault.
        retry_after: what a 429 says.
        billed: faults that are billed although no reply comes of them.
    """

    seconds: float = math.inf
    latency: float = 0.0
    spread: float = 0.0
    faults: Mapping[Fault, float] = field(default_factory=dict)
    retry_after: float | None = None
    billed: frozenset[Fault] = frozenset()

    def draw(self, draw: random.Random) -> Fault:
        """What befalls the next call, "" for nothing."""
        left = draw.random()
        for fault, share in self.faults.items():
            left -= share
            if left < 0:
                return fault
        return ""

    def lasts(self, draw: random.Random) -> float:
        """Seconds that the next reply takes."""
        return self.latency * math.exp(draw.gauss(0.0, self.spread)) if self.spread else self.latency


def mood_at(moods: Sequence[Mood], seconds: float) -> Mood:
    """The mood so many seconds after the first call."""
    for mood in moods[:-1]:
        if seconds < mood.seconds:
            return mood
        seconds -= mood.seconds
    return moods[-1]


class MoodyServer(OpenAIServer):
    """Plays moods.

    Attributes:
        began: when each call came in, in seconds from the first one, and its fault, "" for none.
        flying: the same times, and how many calls were in flight then.
        answered: usable replies by article, as `article_key` counts them.
    """

    def __init__(self, moods: Sequence[Mood], *, seed: int = 0, written: int = 40, **options: Any) -> None:
        """written: tokens that a gateway bills for what the model wrote where no reply came of it."""
        self._draw = random.Random(seed)
        super().__init__(seed=seed, **options)
        self.moods, self.written = list(moods), written
        self.began: list[tuple[float, Fault]] = []
        self.flying: list[tuple[float, int]] = []
        self.answered: Counter[str] = Counter()
        self._first = 0.0

    @property
    def mood(self) -> Mood:
        """The mood of this moment."""
        return mood_at(self.moods, time.monotonic() - self._first if self._first else 0.0)

    @property
    def latency(self) -> float:  # type: ignore[override]
        return self.mood.lasts(self._draw)

    @latency.setter
    def latency(self, seconds: float) -> None:
        pass  # the moods' own

    def fault_for(self, article: str) -> Fault:
        self._first = self._first or time.monotonic()
        found = self.mood.draw(self._draw)
        _drawn.set(found)
        self.counters.faults[found] += 1
        self.began.append((time.monotonic() - self._first, found))
        self.flying.append((time.monotonic() - self._first, self.counters.in_flight))
        return found

    async def _complete(self, request: HttpRequest) -> HttpResponse:
        mood = self.mood
        response = await super()._complete(request)
        fault = _drawn.get()
        prompt = "".join(message["content"] for message in request.json()["messages"])
        if fault in mood.billed:
            self.counters.bill(article_key(prompt), tokens(prompt), 0, self.written)
        if response.status == 429 and mood.retry_after is not None:
            response.headers = {**response.headers, "retry-after": f"{mood.retry_after:g}"}
        if fault.startswith("usage: "):
            usage = response.body["usage"]
            stated = USAGES[fault.removeprefix("usage: ")][0](usage["prompt_tokens"], usage["completion_tokens"])
            response.body["usage"] = stated
            if stated is None:
                del response.body["usage"]
        if not fault or fault.startswith("usage: "):
            self.answered[article_key(prompt)] += 1
        return response

    def gateway_bill(self, price: Price) -> float:
        """What the gateway charges for everything so far, in US dollars."""
        counted = self.counters
        return price.usd(Usage(counted.input_tokens, counted.cached_tokens, counted.output_tokens))

    def most_within(self, seconds: float, begin: float = 0.0, end: float = math.inf) -> int:
        """The most calls that began within so many seconds of one another, of those from `begin` to `end`."""
        times = [at for at, _ in self.began if begin <= at <= end]
        return max((sum(start <= at < start + seconds for at in times) for start in times), default=0)
