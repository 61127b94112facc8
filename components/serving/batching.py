"""Dynamic batching: articles of many requests share the passes of a student, with the scores that each would get alone.

One thread computes. It takes a turn's worth of articles from the requests that wait, oldest first, and has them scored as the
batch scorer does: sorted by length, within a token budget a pass. A turn is several passes, so that sorting has something to
sort, and is cut into those that cost least: of sixty demo articles 3% are padding, 9% in passes that are filled. A request of
many articles goes behind the others after each of its turns. A turn that is not full waits a few milliseconds for company. The
queue is bounded; beyond it a request is refused at once, and told when to come again.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distillery.components.serving.models import Model

if TYPE_CHECKING:
    from distillery.components.articles.articles import Article

Answers = list[dict[str, Any]]
MOST_PASSES, TOKENS_FOR_EACH = 8, 256  # of a turn: one for so many tokens of a pass, which has fewer the larger the model is
QUEUED = 2048  # articles
WAIT_SECONDS = 0.005
AGAIN_SECONDS = 1, 60  # what Retry-After says, at least and at most


def turn_tokens(budget: int) -> int:
    """Return how many tokens a turn has.

    Args:
        budget: tokens of a pass; a large model has few, since one of its passes takes seconds.

    Returns:
        Tokens of one to eight passes.
    """
    return budget * max(1, min(MOST_PASSES, budget // TOKENS_FOR_EACH))


class Full(RuntimeError):
    """The queue is full.

    Args:
        seconds: when there is likely to be room.

    Attributes:
        seconds: whole seconds.
    """

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(f"the queue is full; try again in {seconds} s")


class Closed(RuntimeError):
    """The server is shutting down and takes no more."""


class _Request:
    """A request that waits: its articles, how many were taken, and the answers so far."""

    def __init__(self, model: Model, articles: Sequence[Article], arrived: float) -> None:
        self.model, self.articles, self.arrived = model, articles, arrived
        self.taken, self.answers, self.future = 0, Answers(), Future[Answers]()


Piece = tuple[_Request, Sequence["Article"]]


class Batcher:
    """Scores the articles of many requests together.

    Args:
        wait: seconds that a turn which is not full waits for more.
        queued: articles that may wait; a request is let in while fewer do.
        turned: told of each turn: its articles, and the seconds that it took.
    """

    def __init__(
        self,
        *,
        wait: float = WAIT_SECONDS,
        queued: int = QUEUED,
        turned: Callable[[int, float], None] = lambda articles, seconds: None,
    ) -> None:
        self._wait, self._most, self._turned = wait, queued, turned
        self._queue, self._changed = deque[_Request](), threading.Condition()
        self._waiting, self._rate, self._closed = 0, 0.0, False
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Return the number of articles that wait for their turn."""
        return self._waiting

    def submit(self, model: Model, articles: Sequence[Article]) -> Future[Answers]:
        """Queue the articles of a request.

        Args:
            model: what scores all of them, also where another one serves meanwhile.
            articles: one or more.

        Returns:
            The answers, in order; cancelling it takes what was not begun out of the queue.

        Raises:
            Full: too many articles wait.
            Closed: the server is shutting down.
        """
        request = _Request(model, articles, time.monotonic())
        with self._changed:
            if self._closed:
                raise Closed("the server is shutting down")
            # A request may be larger than the room that is left: else one of many articles would starve on a busy server.
            if self._waiting >= self._most:
                raise Full(self._again())
            self._queue.append(request)
            self._waiting += len(articles)
            self._changed.notify()
        return request.future

    def close(self) -> None:
        """Take no more, finish what waits, and return."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _again(self) -> int:
        """Return when half of what waits is done, in whole seconds."""
        least, most = AGAIN_SECONDS
        seconds = self._waiting / 2 / self._rate if self._rate else least
        return max(least, min(most, math.ceil(seconds)))

    def _run(self) -> None:
        while turn := self._next():
            began = time.monotonic()
            self._score(turn)
            articles, seconds = sum(len(part) for _, part in turn), time.monotonic() - began
            rate = articles / max(seconds, 1e-6)
            self._rate = rate if not self._rate else 0.8 * self._rate + 0.2 * rate
            self._turned(articles, seconds)

    def _next(self) -> list[Piece]:
        """Return the articles of the next turn; none once the server is closed and nothing waits."""
        with self._changed:
            while True:
                self._drop_cancelled()
                if not self._queue:
                    if self._closed:
                        return []
                    self._changed.wait()
                    continue
                first = self._queue[0]
                left = first.arrived + self._wait - time.monotonic()
                if self._closed or left <= 0 or self._full(first.model):
                    return self._take(first.model)
                self._changed.wait(left)

    def _drop_cancelled(self) -> None:
        for request in [each for each in self._queue if each.future.cancelled()]:
            self._queue.remove(request)
            self._waiting -= len(request.articles) - request.taken

    def _full(self, model: Model) -> bool:
        """True if one pass can be filled."""
        weight = 0
        for request in self._queue:
            if request.model is model:
                for article in request.articles[request.taken :]:
                    weight += model.weight(article)
                    if weight >= model.budget:
                        return True
        return False

    def _take(self, model: Model) -> list[Piece]:
        """Take a turn's worth of articles of one model, oldest request first; what is left of one goes to the end."""
        turn, room, behind = list[Piece](), turn_tokens(model.budget), list[_Request]()
        for request in [each for each in self._queue if each.model is model]:
            if room <= 0:
                break
            start = request.taken
            while request.taken < len(request.articles) and room > 0:
                room -= model.weight(request.articles[request.taken])
                request.taken += 1
            turn.append((request, request.articles[start : request.taken]))
            self._waiting -= request.taken - start
            self._queue.remove(request)
            if request.taken < len(request.articles):
                behind.append(request)
        self._queue += behind
        return turn

    def _score(self, turn: list[Piece]) -> None:
        """Score a turn. Where it fails, each request is scored alone, so that one fails for itself only."""
        model = turn[0][0].model
        try:
            answers = model.judge([article for _, part in turn for article in part])
        except Exception as error:
            if len(turn) > 1:
                for piece in turn:
                    self._score([piece])
                return
            request = turn[0][0]
            with self._changed:
                if request in self._queue:
                    self._queue.remove(request)
                    self._waiting -= len(request.articles) - request.taken
            _settle(request, error)
            return
        first = 0
        for request, part in turn:
            request.answers += answers[first : first + len(part)]
            first += len(part)
            if len(request.answers) == len(request.articles):
                _settle(request, None)


def _settle(request: _Request, error: Exception | None) -> None:
    """Answer a request, unless its client has gone."""
    with suppress(InvalidStateError):
        if error is None:
            request.future.set_result(request.answers)
        else:
            request.future.set_exception(error)
