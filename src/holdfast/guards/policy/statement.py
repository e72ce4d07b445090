"""One statement of a policy: what it does to which tools, whom it asks, and what of a call it looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from holdfast.domain.verdict import Ask, Rule
from holdfast.guards.policy.action import Action
from holdfast.guards.policy.errors import Fault, closest
from holdfast.guards.policy.source import Piece, Source
from holdfast.guards.policy.vocabulary import SECTIONS

_ANNOTATIONS = ("ask", "reason", "id")


@dataclass(frozen=True, slots=True)
class Statement:
    """A `permit` or `forbid`."""

    id: str
    """Its `@id`; else its line and column, as `14:1`."""
    line: int
    text: str
    forbids: bool
    ask: Ask | None
    reason: str
    names: frozenset[str] | None
    """The tools and groups that its scope is about; None for every tool."""
    everything: frozenset[str]
    """Sections of `context` that it looks at as a whole."""
    reads: frozenset[tuple[str, str]]
    """What of `context` it looks at: section and name."""

    @property
    def sections(self) -> frozenset[str]:
        """The sections of `context` that it looks at."""
        return self.everything | {section for section, _ in self.reads}

    def covers(self, action: Action) -> bool:
        """Whether it can be about this tool."""
        return self.names is None or action.name in self.names or bool(self.names & action.groups)

    @property
    def rule(self) -> Rule:
        """As verdicts name it."""
        return Rule(self.id, self.line, self.reason)


def form_faults(parsed: Mapping[str, Any], piece: Piece, source: Source) -> list[Fault]:
    """What is wrong with the form of a statement that Cedar could read."""
    if parsed["templates"]:
        what = "A statement with a slot (?principal, ?resource) permits and forbids nothing."
        return [source.fault(piece.at, what, 'Name whom it is about, as in `principal in Role::"admin"`.')]
    (body,) = parsed["staticPolicies"].values()
    annotations: Mapping[str, str | None] = body.get("annotations", {})
    return [*_annotation_faults(annotations, body["effect"], piece, source), *_person_faults(piece, source)]


def statement_of(parsed: Mapping[str, Any], piece: Piece, source: Source) -> Statement:
    """A statement whose form is in order."""
    (body,) = parsed["staticPolicies"].values()
    annotations: Mapping[str, str | None] = body.get("annotations", {})
    line, column = source.place(piece.at)
    chains = set(_chains(conditions_of(parsed)))
    asked = annotations.get("ask")
    return Statement(
        id=annotations.get("id") or f"{line}:{column}",
        line=line,
        text=piece.text,
        forbids=body["effect"] == "forbid",
        ask=None if asked is None else Ask.parse(asked),
        reason=annotations.get("reason") or "",
        names=names_of(parsed),
        everything=frozenset(SECTIONS if () in chains else (chain[0] for chain in chains if len(chain) == 1)),
        reads=frozenset((chain[0], chain[1]) for chain in chains if len(chain) > 1),
    )


def _annotation_faults(
    annotations: Mapping[str, str | None], effect: str, piece: Piece, source: Source
) -> Iterator[Fault]:
    for name, text in annotations.items():
        token = piece.find("@", name)
        at = piece.at if token is None else token.at
        if name not in _ANNOTATIONS:
            advice = "There are @ask, @reason and @id."
            yield source.fault(at, f"There is no annotation '@{name}'.", advice, closest(name, _ANNOTATIONS))
        elif not text:
            yield source.fault(at, f"@{name} says nothing.", f'Write @{name}("...").')
        elif name == "ask" and effect != "forbid":
            what = "@ask stands on a forbid: it says who may lift it. A permit asks nobody."
            yield source.fault(at, what, "Permit the tool, and write a second statement: @ask(...) forbid (...).")
        elif name == "ask":
            try:
                Ask.parse(text)
            except ValueError as error:
                yield source.fault(at, str(error), suggestion=closest(text, _ASKABLE))


def _person_faults(piece: Piece, source: Source) -> Iterator[Fault]:
    if (token := piece.find("Person", "::")) is not None:
        yield source.fault(
            token.at,
            "A policy names no persons: nobody would notice a name that is misspelt.",
            'Speak of roles, as in `principal in Role::"approver"`.',
        )


_ASKABLE = [str(one) for one in (Ask(), *(Ask(role, n) for role in Ask.parse("approver").roles for n in range(1, 6)))]


def names_of(parsed: Mapping[str, Any]) -> frozenset[str] | None:
    """The tools and groups that a statement's scope names; None where it is about every tool."""
    bodies = [*parsed["staticPolicies"].values(), *parsed["templates"].values()]
    scope = bodies[0]["action"]
    if scope["op"] == "All":
        return None
    entities = scope["entities"] if "entities" in scope else [scope["entity"]]
    return frozenset(entity["id"] for entity in entities)


def conditions_of(parsed: Mapping[str, Any]) -> list[Any]:
    """The conditions of a statement, as Cedar's JSON has them."""
    (body,) = parsed["staticPolicies"].values()
    return body.get("conditions", [])


def _chains(node: Any) -> Iterator[tuple[str, ...]]:
    """What of `context` an expression looks at: `context.args.amount` as `("args", "amount")`."""
    if isinstance(node, list):
        for one in cast("list[Any]", node):
            yield from _chains(one)
    elif isinstance(node, dict):
        chain = chain_of(cast("dict[str, Any]", node))
        if chain is not None:
            yield chain
            return
        for one in cast("dict[str, Any]", node).values():
            yield from _chains(one)


def chain_of(node: Any) -> tuple[str, ...] | None:
    """The names that lead from `context` to what an expression looks at; None where it does not begin there."""
    match node:
        case {"Var": "context"}:
            return ()
        case {".": {"left": left, "attr": str(name)}} | {"has": {"left": left, "attr": str(name)}}:
            above = chain_of(left)
            return None if above is None else (*above, name)
        case _:
            return None
