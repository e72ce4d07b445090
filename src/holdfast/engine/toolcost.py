"""What a tool call cost: what it declared, what it charged, and models that it asked past the journal."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from holdfast.domain import events as ev
from holdfast.domain.money import usd_micros
from holdfast.engine.usage import usage_now, whole

if TYPE_CHECKING:
    from pydantic_ai.usage import RunUsage

    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder
    from holdfast.engine.recovery import Settled

DECLARED = "declared by the tool"
CHARGED = "charged by the tool"
INSIDE = "models asked inside the tool, past the journal"
CUT_OFF = "earlier attempts that were cut off"


class Nested(Protocol):
    """The runs inside a call, and the usage they share with it."""

    @property
    def usage(self) -> RunUsage:
        """What the run of the call has used."""
        ...


def measure(
    recorder: Recorder, call: ToolCall, nested: Nested, alone: Callable[[], bool]
) -> Callable[[], ev.Cost | None]:
    """Begin to measure a call that is about to be performed; ask what is returned once it has ended.

    `alone` says whether no call beside it used the same counters meanwhile.
    """
    inner = recorder.inner.of(nested.usage)
    before, journaled, others, money = usage_now(nested.usage), inner.counted, inner.others, nested.usage.cost

    def cost() -> ev.Cost | None:
        declared = call.declaration.cost_usd_micros if call.attempt.announced or call.attempt.entered else 0
        charged = sum(call.attempt.charges)
        after = usage_now(nested.usage)
        unpriced, kinds, estimate = list[str](), dict[str, int](), 0
        if inner.others > others:
            unpriced.append(INSIDE)
            if alone():
                kinds = {"input_tokens": whole(after[2] - before[2]), "output_tokens": whole(after[3] - before[3])}
                estimate = _more(nested.usage.cost, money) if inner.counted == journaled else 0
        if call.attempt.cut_off and (call.declaration.cost_usd_micros or charged):
            unpriced.append(CUT_OFF)
        return _made(declared, charged, estimate, unpriced, kinds)

    return cost


def cost_as_told(call: ToolCall) -> ev.Cost | None:
    """The cost of a call of which others said that it happened: what it declares, and what it charged nobody knows."""
    return _made(call.declaration.cost_usd_micros, 0, 0, [], {})


def cost_of_output(call: ToolCall, settled: Settled | None = None) -> ev.Cost | None:
    """The cost of an output function that has ended, here or as others said."""
    if settled is not None:
        return settled.cost or cost_as_told(call)
    declared = call.declaration.cost_usd_micros if call.attempt.entered else 0
    unpriced = [CUT_OFF] if call.attempt.number > 1 and (declared or call.attempt.charges) else []
    return _made(declared, sum(call.attempt.charges), 0, unpriced, {})


def _made(declared: int, charged: int, estimate: int, unpriced: list[str], kinds: dict[str, int]) -> ev.Cost | None:
    if not (declared or charged or unpriced):
        return None
    sources = [DECLARED] if declared else []
    sources += [CHARGED] if charged else []
    sources += ["Pydantic AI's estimate of models inside"] if estimate else []
    return ev.Cost(
        usd_micros=declared + charged + estimate,
        unpriced=unpriced,
        source=", ".join(sources),
        kinds={kind: count for kind, count in kinds.items() if count > 0},
    )


def _more(after: Decimal | None, before: Decimal | None) -> int:
    return max(0, usd_micros((after or Decimal(0)) - (before or Decimal(0))))
