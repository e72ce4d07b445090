"""Calls to try a policy on: who, what, when, and what should become of it. As people write them, in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from holdfast.domain.errors import UserError
from holdfast.domain.rights import Role
from holdfast.domain.verdict import Ask, Facts, Verdict
from holdfast.guards.policy.kinds import Amount, Unfit
from holdfast.guards.policy.policy import Policy
from holdfast.guards.policy.vocabulary import Vocabulary

NOON = 12
MONDAY = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A call that a policy is tried on."""

    name: str
    tool: str
    args: Mapping[str, Any]
    facts: Facts
    declared: Mapping[str, Any] | None = None
    """What the tool's own facts say. None: they are asked."""
    expect: str | None = None

    def outcome(self, policy: Policy) -> str:
        """What the policy says of it, in the words of `expect`."""
        return outcome_of(policy.verdict(self.tool, self.args, self.facts, declared=self.declared))


def outcome_of(verdict: Verdict) -> str:
    """`allow`, `deny`, or `ask` and whom."""
    return str(verdict.decision) if verdict.ask is None else f"ask {verdict.ask}"


def _expected(text: str) -> str:
    if text in {"allow", "deny"}:
        return text
    word, _, whom = text.partition(" ")
    if word != "ask":
        raise ValueError(f"'{text}' is not to be expected: write allow, deny, or ask and whom, as in 'ask two admins'")
    return f"ask {Ask.parse(whom)}"


def _scaled(given: Any) -> int:
    try:
        return Amount().scaled(given)
    except Unfit as unfit:
        raise ValueError(unfit.why) from None


class Written(BaseModel):
    """A case as a file states it. What is left out is usual: a user at noon on a Monday in production."""

    model_config = ConfigDict(extra="forbid")

    tool: str
    args: dict[str, Any] = Field(default_factory=dict[str, Any])
    expect: Annotated[str, AfterValidator(_expected)] | None = None
    name: str = ""
    roles: frozenset[Role] = frozenset({Role.USER})
    task: str = ""
    """Empty: the first that has the tool."""
    env: Literal["dev", "staging", "prod"] = "prod"
    hour: int = Field(NOON, ge=0, le=23)
    weekday: int = Field(MONDAY, ge=1, le=7)
    depth: int = Field(0, ge=0)
    steps: int = Field(0, ge=0)
    budget_left: int = Field(100, ge=0, le=100)
    labels: dict[str, frozenset[Literal["user", "system", "untrusted"]]] = Field(default_factory=dict)
    """By argument; those that are not named came from the user."""
    tallies: dict[str, Annotated[Any, AfterValidator(_scaled)]] = Field(default_factory=dict)
    """Amounts that were reached before this call; those that are not named are zero."""

    def case(self, vocabulary: Vocabulary) -> Case:
        """As it is tried."""
        action = vocabulary.actions.get(self.tool)
        named = dict.fromkeys(action.labelled if action else (), frozenset({"user"}))
        tasks = vocabulary.tasks_of.get(self.tool) or vocabulary.tasks or ("",)
        unknown = sorted(self.labels.keys() - named.keys())
        if action and unknown:
            raise UserError(f"Tool '{self.tool}' has no argument '{unknown[0]}' to be labelled.")
        return Case(
            name=self.name or f"{self.tool}({', '.join(f'{name}={value}' for name, value in self.args.items())})",
            tool=self.tool,
            args=self.args,
            expect=self.expect,
            facts=Facts(
                principal="somebody",
                roles=self.roles,
                task=self.task or tasks[0],
                env=self.env,
                local_hour=self.hour,
                local_weekday=self.weekday,
                depth=self.depth,
                steps=self.steps,
                budget_left=self.budget_left,
                tallies=dict.fromkeys(vocabulary.tallies, 0) | self.tallies,
                labels=named | self.labels,
            ),
        )


_WRITTEN = TypeAdapter(list[Written])


def read_cases(found: Any, path: str, vocabulary: Vocabulary) -> Sequence[Case]:
    """The cases that a file states, parsed from YAML or JSON.

    Raises:
        UserError: it is not of their form; the message names case and place.
    """
    try:
        return [one.case(vocabulary) for one in _WRITTEN.validate_python(found)]
    except ValidationError as error:
        faults = [
            f"{path}: case {int(where[0]) + 1 if where else 1}, {'.'.join(map(str, where[1:])) or 'all of it'}: "
            f"{fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False, include_input=False)
            for where in [fault["loc"]]
        ]
        raise UserError("\n".join(faults)) from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
