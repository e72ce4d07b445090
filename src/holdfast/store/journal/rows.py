"""What an append carries beside events: the run's next state, the human tasks it opens, what it counts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias
from uuid import UUID

import orjson

from holdfast.domain.approving import OnExpiry, TaskKind
from holdfast.domain.ids import Ref
from holdfast.domain.state import RunState, WaitingOn


class Park(NamedTuple):
    """The run waits as rows only, and loses its worker, with this append."""

    waiting_on: WaitingOn
    wake_at: datetime | None = None
    unsure: bool = False
    """It parks for a halt that this process heard of, which may be lifted by now: then it is refused."""
    names: tuple[str, ...] = ()
    """The tools and models that it could not go on with, where the halt is of one of those."""


class Finish(NamedTuple):
    """The run ends with this append."""

    state: RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRow:
    """A human task that this append opens."""

    id: UUID
    kind: TaskKind
    scope: str
    step: int
    call: str
    tool: str
    args: Ref
    """Digest of the content shown."""
    digest: str
    """What the decision is bound to."""
    key: str | None = None
    why: str | None = None
    ask: str = ""
    """Who has to agree, as `Ask` is written; empty: whoever may decide. Of an effect in doubt, empty: whoever had to
    agree to the call, where somebody had to."""
    round: int = 1
    """How often this call has been asked about."""
    received: Ref | None = None
    """Digest of the arguments as the tool would receive them, where they differ from those shown."""
    expires_s: float | None = None
    """Seconds until the question is no longer open; None: it waits for good. An effect in doubt has no answer to give
    by itself: its question ends only where that fails the run."""
    on_expiry: OnExpiry = "reject"
    escalate: Sequence[tuple[float, str]] = ()
    """Whom it goes to when it has waited so many seconds, as `Ask` is written, in the order of their times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalClosed:
    """A human task about an effect that this append closes, unless a person decided it before."""

    id: UUID
    closed: Literal["done", "not_done", "fail_run"]
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallied:
    """An amount that the intent of this append adds to a sum, if that is still what the intent was decided on."""

    key: str
    """Of the effect: what its attempts add is added once."""
    name: str
    owner: str
    since: datetime
    amount: int
    """In ten-thousandths."""
    seen: int
    """What the sum was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """An effect is known not to have happened: what it added to sums is taken back."""

    key: str
    released: Literal[True] = True


@dataclass(frozen=True, slots=True)
class Use:
    """What a step uses of one model, or may use; with none named, what a call costs."""

    model: str = ""
    provider: str = ""
    usd: int | None = 0
    """In micro-dollars; None: nobody knows."""
    tokens: int | None = 0
    requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What a step may use, or did use, for budgets to count.

    `reserve` comes with its intent, `settle` with its outcome, `spend` with an outcome that nothing was reserved for,
    `void` with the claim of a run whose holder went away meanwhile, `end`, without a step, with the end of a run that
    reserved anything.
    """

    what: Literal["reserve", "settle", "spend", "void", "end"]
    step: str = ""
    """Of a model request its scope and number; of a call its idempotency key."""
    attempt: int = 0
    feature: str = ""
    usd: int = 0
    """In micro-dollars."""
    tokens: int = 0
    requests: int = 0
    no_usd: bool = False
    """Nobody knows what it may cost, or did cost beyond `usd`."""
    no_tokens: bool = False
    models: Sequence[Use] = ()
    """What of it is which model's."""


TaskRow: TypeAlias = ApprovalRow | ApprovalClosed
TallyRow: TypeAlias = Tallied | Released
Row: TypeAlias = TaskRow | TallyRow | Spending
"""What an append may write beside events."""


class Counters(NamedTuple):
    """What events add to the run's counters."""

    steps: int = 0
    model_requests: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


NOTHING_COUNTED = Counters()


def encode_row(row: Row) -> bytes:
    """The row as a JSON object. NUL and lone surrogates, which no text column takes, become visible escapes.

    Raises:
        orjson.JSONEncodeError: a value cannot be written as JSON.
    """
    try:
        encoded = orjson.dumps(row)
    except orjson.JSONEncodeError:
        encoded = b"\\u0000"
    if b"\\u0000" in encoded:
        encoded = orjson.dumps({name: _storable(value) for name, value in asdict(row).items()})
    return encoded


def encode_next(next_: Park | Finish) -> bytes:
    """The run's next state as a JSON object."""
    if isinstance(next_, Finish):
        return orjson.dumps({"state": next_.state})
    row = {"state": RunState.PARKED, "waiting_on": next_.waiting_on, "wake_at": next_.wake_at}
    return orjson.dumps(row | {"unsure": True} if next_.unsure else row)


def storable(text: str) -> str:
    """A text with NUL and lone surrogates, which no text column takes, as visible escapes."""
    return text.replace("\0", "\\u0000").encode(errors="backslashreplace").decode()


def _storable(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value
