"""Cases that two versions of a policy may differ on: values on both sides of every limit that either names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import combinations, product
from math import prod
from typing import Any, TypeAlias, cast

from holdfast.domain.rights import Role
from holdfast.domain.verdict import Facts
from holdfast.guards.policy import cedar
from holdfast.guards.policy.action import Action
from holdfast.guards.policy.cases import MONDAY, NOON, Case
from holdfast.guards.policy.kinds import SCALE, Amount, Bool, Kind, Long, Member, Record, SetOf, Text, Unfit
from holdfast.guards.policy.policy import Policy
from holdfast.guards.policy.statement import Statement

MOST = 2000
"""Combinations of one tool that are tried in full; where there are more, every two values are tried together."""

_OTHER = "something else"
_USUAL = {"local_hour": (NOON, range(24)), "local_weekday": (MONDAY, range(1, 8)), "budget_left": (100, range(101))}
"""Of the numbers that have bounds: the usual one, and all there are."""
Dimension: TypeAlias = tuple[tuple[str, str], Sequence[Any]]
"""Where a value goes (section and name), and the values, the usual one first. `_ABSENT` for none."""
_ABSENT = object()


@dataclass(slots=True)
class _Literals:
    """What statements compare with."""

    amounts: set[Decimal] = field(default_factory=set[Decimal])
    numbers: set[int] = field(default_factory=set[int])
    texts: set[str] = field(default_factory=set[str])
    roles: set[Role] = field(default_factory=set[Role])

    def read(self, node: Any) -> None:
        """Take in what an expression of Cedar's JSON compares with."""
        if isinstance(node, list):
            for one in cast("list[Any]", node):
                self.read(one)
        elif isinstance(node, dict):
            self._read(cast("dict[str, Any]", node))

    def _read(self, node: dict[str, Any]) -> None:
        match node:
            case {"type": "Role", "id": str(role)}:
                self.roles.add(Role(role))
            case {"decimal": [{"Value": str(amount)}]}:
                self.amounts.add(Decimal(amount))
                return
            case _:
                pass
        value: Any = node.get("Value")
        if isinstance(value, str):
            self.texts.add(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            self.numbers.add(value)
        for one in node.values():
            self.read(one)


def boundary_cases(old: Policy, new: Policy) -> Iterator[Case]:
    """For each tool, the calls at the limits that its statements in either version name."""
    for name, action in new.vocabulary.actions.items():
        literals = _Literals()
        for statement in _distinct((*old.about(name), *new.about(name))):
            literals.read(cedar.parsed(statement.text)["staticPolicies"])
        looked_at = _merged(old.looked_at(name), new.looked_at(name))
        yield from _cases(action, new, list(_dimensions(action, looked_at, literals, new)))


def _distinct(statements: Iterable[Statement]) -> Iterable[Statement]:
    return {one.text: one for one in statements}.values()


def _merged(
    one: Mapping[str, Mapping[str, Kind]], other: Mapping[str, Mapping[str, Kind]]
) -> dict[str, dict[str, Kind]]:
    return {section: {**one.get(section, {}), **other.get(section, {})} for section in (*one, *other)}


def _dimensions(
    action: Action, looked_at: Mapping[str, Mapping[str, Kind]], literals: _Literals, policy: Policy
) -> Iterator[Dimension]:
    roles = [frozenset({role}) for role in sorted({Role.USER, *literals.roles})]
    yield ("roles", ""), [frozenset({Role.USER}), *(one for one in roles if Role.USER not in one), frozenset()]
    yield ("task", ""), policy.vocabulary.tasks_of[action.name]
    for section, kinds in looked_at.items():
        for name, kind in kinds.items():
            values = _values(kind, literals)
            if section == "run" and name in _USUAL:
                usual, among = _USUAL[name]
                values = [usual, *(one for one in values if one in among and one != usual)]
            elif section == "run" and name == "env":
                values = ["prod", "staging", "dev"]
            optional = section == "args" and any(one.name == name and one.optional for one in action.args.fields)
            yield (section, name), [*values, *([_ABSENT] if optional else [])]


def _values(kind: Kind, literals: _Literals) -> list[Any]:  # noqa: PLR0911 - one return for each type
    """Values of a type, the usual one first."""
    step = Decimal(1) / SCALE
    match kind:
        case Bool():
            return [False, True]
        case Long():
            around = {near for one in literals.numbers for near in (one - 1, one, one + 1)}
            return [0, *sorted(around - {0})]
        case Amount():
            near = {beside for one in literals.amounts for beside in (one - step, one, one + step)}
            return [str(one) for one in sorted(near | {Decimal(1)}, key=lambda one: (one != 1, one))]
        case Text(among=among) if among:
            return list(among)
        case Text():
            return [_OTHER, *sorted(literals.texts)]
        case Member():
            return list(kind.among)
        case SetOf(items=Member(among=among)):
            return [[one] for one in among]
        case SetOf():
            return [[], *([one] for one in _values(kind.items, literals))]
        case Record():
            fields = [(one.name, _values(one.kind, literals)) for one in kind.fields]
            usual = {name: values[0] for name, values in fields}
            return [usual, *(usual | {name: value} for name, values in fields for value in values[1:])]


def _cases(action: Action, policy: Policy, dimensions: Sequence[Dimension]) -> Iterator[Case]:
    whole = prod(len(values) for _, values in dimensions) <= MOST
    for chosen in _all(dimensions) if whole else _pairs(dimensions):
        yield _case(action, policy, dict(zip((place for place, _ in dimensions), chosen, strict=True)))


def _all(dimensions: Sequence[Dimension]) -> Iterator[tuple[Any, ...]]:
    return product(*(values for _, values in dimensions))


def _pairs(dimensions: Sequence[Dimension]) -> Iterator[tuple[Any, ...]]:
    usual = [values[0] for _, values in dimensions]
    yield tuple(usual)
    for one, other in combinations(range(len(dimensions)), 2):
        for first, second in product(dimensions[one][1], dimensions[other][1]):
            chosen = list(usual)
            chosen[one], chosen[other] = first, second
            yield tuple(chosen)


def _case(action: Action, policy: Policy, chosen: Mapping[tuple[str, str], Any]) -> Case:
    at: dict[str, dict[str, Any]] = {"run": {}, "args": {}, "labels": {}, "facts": {}, "roles": {}, "task": {}}
    for (section, name), value in chosen.items():
        if value is not _ABSENT:
            at[section][name] = value
    args = {one.name: _values(one.kind, _Literals())[0] for one in action.args.fields if not one.optional} | at["args"]
    run = dict(at["run"])
    facts = Facts(
        principal="somebody",
        roles=at["roles"][""],
        task=at["task"][""],
        env=run.pop("env", "prod"),
        local_hour=run.pop("local_hour", NOON),
        local_weekday=run.pop("local_weekday", MONDAY),
        depth=run.pop("depth", 0),
        steps=run.pop("steps", 0),
        budget_left=run.pop("budget_left", 100),
        labels={name: frozenset(at["labels"].get(name, ["user"])) for name in action.labelled},
    )
    return Case(
        name="",
        tool=action.name,
        args=args,
        facts=replace(facts, tallies=_before(action, args, run, policy)),
        declared=at["facts"],
    )


def _before(action: Action, args: Mapping[str, Any], wanted: Mapping[str, Any], policy: Policy) -> dict[str, int]:
    """The tallies before the call, such that with it they are as wanted."""
    try:
        added = action.added(args)
    except Unfit:
        added = {}
    found = dict.fromkeys(policy.vocabulary.tallies, 0)
    return found | {name: Amount().scaled(value) - added.get(name, 0) for name, value in wanted.items()}
