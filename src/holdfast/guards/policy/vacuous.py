"""What Cedar's validator lets pass though it can never be true: the last way for a misspelt rule to match nothing.

`context.args has nte` is no error to it, and never true; nor is a comparison of an environment with a role, or of an
argument that takes three texts with a fourth. In a `forbid` each of these opens what it was meant to close.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from holdfast.guards.policy.action import Action
from holdfast.guards.policy.errors import Fault, closest, listed
from holdfast.guards.policy.kinds import Field, Kind, Member, Record, SetOf, Text, quoted
from holdfast.guards.policy.source import Piece, Source
from holdfast.guards.policy.statement import chain_of
from holdfast.guards.policy.vocabulary import Vocabulary, sections_of

_EQUAL = ("==", "!=")
_CONTAINS = ("contains", "containsAny", "containsAll")
_TYPE_OF = {"principal": "Role", "resource": "Task", "action": "Action"}
"""What each variable can be compared with."""
_OWN_TYPE = {"principal": "Person", "resource": "Task", "action": "Action"}


class Vacuous:
    """Looks for comparisons in one statement that are never true."""

    def __init__(self, piece: Piece, source: Source, vocabulary: Vocabulary, actions: Sequence[Action]) -> None:
        self._piece = piece
        self._source = source
        self._groups = vocabulary.groups
        self._contexts = [_context(action, vocabulary) for action in actions]

    def faults(self, node: Any) -> Iterator[Fault]:
        """What is never true in an expression of Cedar's JSON."""
        if isinstance(node, list):
            for one in cast("list[Any]", node):
                yield from self.faults(one)
        elif isinstance(node, dict):
            for operator, operands in cast("dict[str, Any]", node).items():
                if isinstance(operands, dict):
                    yield from self._at(operator, cast("dict[str, Any]", operands))
                yield from self.faults(operands)

    def _at(self, operator: str, operands: dict[str, Any]) -> Iterator[Fault]:
        left, right = operands.get("left"), operands.get("right")
        if operator == "has":
            yield from self._has(operands)
        elif operator in _EQUAL:
            yield from self._compared(left, right, equal=True)
            yield from self._compared(right, left, equal=True)
        elif operator == "in":
            yield from self._compared(left, right, equal=False)
        elif operator == "is":
            yield from self._is(operands)
        elif operator in _CONTAINS:
            kinds = [kind.items for kind in self._kinds(chain_of(left)) if isinstance(kind, SetOf)]
            yield from self._never(kinds, right)

    def _has(self, operands: dict[str, Any]) -> Iterator[Fault]:
        chain = chain_of({"has": operands})
        if chain is None:
            advice = "Only `context`, its sections and records in them can be asked for what they have."
            yield self._fault(("has",), "This is never true.", advice)
            return
        for length in range(1, len(chain) + 1):
            if not self._kinds(chain[:length]):
                name, above = chain[length - 1], ".".join(("context", *chain[: length - 1]))
                known = self._names(chain[: length - 1])
                what = f"'{above}' has no '{name}' here."
                yield self._fault((name,), what, f"It has {listed(sorted(known))}.", closest(name, known))
                return

    def _is(self, operands: dict[str, Any]) -> Iterator[Fault]:
        variable = operands["left"].get("Var")
        kind, own = operands["entity_type"], _OWN_TYPE.get(variable)
        if kind != own:
            yield self._fault(("is", kind), f"This is never a {kind}.", f"It is a {own}." if own else "")
        if "in" in operands and variable is not None:
            yield from self._variable(variable, operands["in"], equal=False)

    def _compared(self, one: Any, other: Any, *, equal: bool) -> Iterator[Fault]:
        variable = cast("dict[str, Any]", one).get("Var") if isinstance(one, dict) else None
        if variable in _TYPE_OF:
            yield from self._variable(variable, other, equal=equal)
        elif equal:
            yield from self._never(self._kinds(chain_of(one)), other)

    def _variable(self, variable: str, other: Any, *, equal: bool) -> Iterator[Fault]:
        if variable == "principal" and equal:
            yield self._fault(("principal",), "A policy names no persons.", 'Write `principal in Role::"admin"`.')
            return
        for kind, name in _entities(other):
            where = (kind, "::", quoted(name))
            if kind != _TYPE_OF[variable]:
                yield self._fault(where, f"'{variable}' is never a {kind}.", f"Compare it with a {_TYPE_OF[variable]}.")
            elif variable == "action" and equal and name in self._groups:
                yield self._fault(where, f"'{name}' is a group.", f"Write `action in Action::{quoted(name)}`.")

    def _never(self, kinds: Sequence[Kind], other: Any) -> Iterator[Fault]:
        """Faults where a value of none of these types can be the literal that it is compared with."""
        members = [kind.cedar for kind in kinds if isinstance(kind, Member)]
        for kind, name in _entities(other) if members else ():
            if kind not in members:
                advice = f'Write {members[0]}::"...".'
                yield self._fault((kind, "::", quoted(name)), f"{members[0]} and {kind} are never the same.", advice)
        texts = [kind.among for kind in kinds if isinstance(kind, Text) and kind.among]
        known = {text for among in texts for text in among}
        if texts and len(texts) == len(kinds):
            for text in _texts(other):
                if text not in known:
                    what = f"It is never {quoted(text)}."
                    yield self._fault(
                        (quoted(text),), what, f"It is one of {listed(sorted(known))}.", closest(text, known)
                    )

    def _kinds(self, chain: tuple[str, ...] | None) -> list[Kind]:
        """The types of what is there in `context`, for the tools that have it."""
        if chain is None:
            return []
        return [kind for context in self._contexts if (kind := _descend(context, chain)) is not None]

    def _names(self, chain: tuple[str, ...]) -> set[str]:
        return {each.name for kind in self._kinds(chain) if isinstance(kind, Record) for each in kind.fields}

    def _fault(self, tokens: tuple[str, ...], what: str, advice: str, meant: str | None = None) -> Fault:
        token = self._piece.find(*tokens)
        return self._source.fault(self._piece.at if token is None else token.at, what, advice, meant)


def _context(action: Action, vocabulary: Vocabulary) -> Record:
    sections = sections_of(action, vocabulary.tallies)
    return Record(tuple(Field(section, record) for section, record in sections.items()))


def _descend(context: Record, chain: tuple[str, ...]) -> Kind | None:
    found: Kind = context
    for name in chain:
        inner = (
            next((each.kind for each in found.fields if each.name == name), None) if isinstance(found, Record) else None
        )
        if inner is None:
            return None
        found = inner
    return found


def _entities(node: Any) -> list[tuple[str, str]]:
    """The literals of entities in `node`: one, or a set of them."""
    match node:
        case {"Value": {"__entity": {"type": str(kind), "id": str(name)}}}:
            return [(kind, name)]
        case {"Set": [*items]}:
            return [found for item in items for found in _entities(item)]
        case _:
            return []


def _texts(node: Any) -> list[str]:
    match node:
        case {"Value": str(text)}:
            return [text]
        case {"Set": [*items]}:
            return [found for item in items for found in _texts(item)]
        case _:
            return []
