"""What the requests of one model step cost, until it is recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.engine.attempts import attempts_of, failed_attempts
from holdfast.engine.pricing import cost_of, cost_of_failure, together

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelRequestAttempt, ModelResponse
    from pydantic_ai.models import StreamedResponse

    from holdfast.domain import events as ev
    from holdfast.guards.prices import PriceBook


class Bill:
    """One step's: usually of one request. A hook may ask again, and a response may be put together from several."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self.asked = ""
        """The model of the request under way."""
        self._unanswered = 0
        self._paid: dict[object, ev.Cost] = {}
        self._inside: list[ModelRequestAttempt] = []
        """Models that were tried inside a request, before one answered."""
        self.stream: StreamedResponse | None = None
        """As much of an answer as has come."""

    def begin(self, unanswered: int = 0) -> None:
        """A step begins, of which so many requests were sent before and never answered."""
        self._unanswered = unanswered
        self._paid.clear()
        self._inside.clear()

    def ask(self, model: str) -> int:
        """A request is announced. Returns how many before it were never answered: said once."""
        self.asked, unanswered, self._unanswered = model, self._unanswered, 0
        return unanswered

    def pay(self, raw: ModelResponse) -> ev.Cost:
        """This came from the model. Returns what it cost."""
        # A response that is asked for until it is done is one, and tells all of its usage each time.
        self._inside += raw.failed_attempts or ()
        cost = self._paid[raw.provider_response_id or object()] = cost_of(self._book, raw, self.asked)
        return cost

    def tried(self, response: ModelResponse) -> list[ev.FailedAttempt]:
        """Who was asked before this response. What a request of its own cost, as hooks make them, is told by itself."""
        attempts = response.failed_attempts or ()
        return [
            fact if any(attempt is one for one in self._inside) else replace(fact, cost=None)
            for attempt, fact in zip(attempts, failed_attempts(self._book, attempts), strict=True)
        ]

    def lose(self, error: BaseException) -> ev.Cost | None:
        """The request came to nothing, for this reason: what it may have cost."""
        if attempts_of(error):
            return None  # of each by itself
        return cost_of_failure(self._book, error, self.asked, None if self.stream is None else self.stream.get())

    def settle(self) -> ev.Cost | None:
        """What was paid in all, from now on recorded; None: nothing."""
        paid = together(self._paid.values())
        self._paid.clear()
        return paid
