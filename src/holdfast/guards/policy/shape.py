"""What a policy is told of a tool, and how a tool says it: `governed`.

    @agent.tool
    @effect.idempotent
    @governed(group="money", risk="high", tallies={"refunded_today": "amount"})
    async def issue_refund(ctx: RunContext[Deps], order_id: str, amount: Decimal) -> Refund: ...

Most tools say nothing: their recovery class puts them among the `reads` or the `writes`, and their arguments are
mapped by their types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeVar

from holdfast.domain.errors import UserError
from holdfast.domain.recovery import Recovery

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__holdfast_governed__"


class Risk(StrEnum):
    """How much harm a wrong call can do."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def group(self) -> str:
        """The group that tools of this risk are in."""
        return f"{self.value}_risk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Governed:
    """What a tool says of itself to policies. Made by `governed`; as a decorator it marks the tool's function."""

    groups: frozenset[str] = frozenset()
    risk: Risk | None = None
    hidden: bool = False
    """Whether policies see none of its arguments."""
    out_of_policy: frozenset[str] = frozenset()
    amounts: frozenset[str] = frozenset()
    tallies: Mapping[str, str] = field(default_factory=dict[str, str])
    facts: Mapping[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])
    system: str = ""
    repeats: bool = False

    def __call__(self, function: F) -> F:
        """Mark the function of a tool."""
        if getattr(function, _MARK, None) is not None:
            raise UserError(
                f"Tool function '{getattr(function, '__name__', function)}' is governed twice. Put all of it into one "
                "@governed(...)."
            )
        setattr(function, _MARK, self)
        return function


def governed(
    *,
    group: str | Iterable[str] = (),
    risk: Risk | Literal["low", "medium", "high"] | None = None,
    out_of_policy: Literal[True] | str | Iterable[str] = (),
    amounts: str | Iterable[str] = (),
    tallies: Mapping[str, str] | None = None,
    facts: Mapping[str, Callable[..., Any]] | None = None,
    system: str = "",
    repeats: bool = False,
) -> Governed:
    """What policies are told of a tool beyond its name, recovery class and typed arguments.

    Args:
        group: groups of your own that a policy can speak of, as in `action in Action::"money"`.
        risk: puts the tool into `low_risk`, `medium_risk` or `high_risk`.
        out_of_policy: arguments that no policy sees, for those that cannot be mapped; `payment.blob` for a field of
            one. True: none of them is seen. The tool itself still needs a permit.
        amounts: arguments that are amounts though their type does not say so, as an `int` or a `float`.
        tallies: accumulated amounts that this call adds to, with the argument that it adds. Policies see the sum with
            this call in it as `context.run.NAME`.
        facts: pure functions of the tool's arguments, by the names that policies see them under (`context.facts`),
            for what Cedar cannot compute, as what is inside a list. Their return annotation says the type.
        system: what it writes to, as `Limits(writes=...)` names it. Default: the tool's own name.
        repeats: whether it may be called again and again though nothing changes, as one that asks whether something is
            finished: no loop is seen in that.

    Raises:
        UserError: the risk is none of the three.
    """
    try:
        found = None if risk is None else Risk(risk)
    except ValueError:
        raise UserError(f"governed: risk is 'low', 'medium' or 'high', not {risk!r}.") from None
    return Governed(
        groups=_names(group),
        risk=found,
        hidden=out_of_policy is True,
        out_of_policy=frozenset() if out_of_policy is True else _names(out_of_policy),
        amounts=_names(amounts),
        tallies=dict(tallies or {}),
        facts=dict(facts or {}),
        system=system,
        repeats=repeats,
    )


def _names(given: str | Iterable[str]) -> frozenset[str]:
    return frozenset((given,) if isinstance(given, str) else given)


def governed_on(function: Any) -> Governed | None:
    """What the decorator left on `function`, through wrappers that keep `__wrapped__`."""
    while function is not None:
        found = getattr(function, _MARK, None)
        if isinstance(found, Governed):
            return found
        function = getattr(function, "__wrapped__", None)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolShape:
    """A tool of a task as plain data: all that policies are made for."""

    task: str
    name: str
    recovery: Recovery
    schema: Mapping[str, Any] | None
    """JSON schema of its arguments. None: they are not known until it runs, and policies see none of them."""
    single: str | None = None
    """The one parameter whose fields the schema describes, where the tool takes a single model."""
    governed: Governed = field(default_factory=Governed)
