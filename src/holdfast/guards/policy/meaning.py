"""What Cedar's validator says of a statement, in the words of whoever wrote it, and where in the statement it is.

The validator names the statement at most. The place is found by the name it quotes; where it quotes none, by asking
it again about each condition alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from holdfast.guards.policy import cedar
from holdfast.guards.policy.errors import Fault, closest, listed
from holdfast.guards.policy.source import Piece, Source, Token
from holdfast.guards.policy.vocabulary import ENVS, LABELS, RUN, SECTIONS, Vocabulary

_PREFIX = re.compile(r"^for policy `\w+`[,:] ?")
_NOWHERE = "unable to find an applicable action given the policy scope constraints"
_NOUNS = {"Role": "role", "Env": "environment", "Label": "label", "Task": "task"}
_Written: TypeAlias = tuple[str, str, str | None, tuple[str, ...]]
"""What is wrong, what to do, what was meant, and the tokens that lead to the place."""


class Meaning:
    """Checks statements against a vocabulary."""

    def __init__(self, vocabulary: Vocabulary, schema: cedar.Schema) -> None:
        self._vocabulary = vocabulary
        self._schema = schema

    def faults(self, piece: Piece, source: Source, names: frozenset[str] | None) -> list[Fault]:
        """What is wrong with what a statement about `names` says; nothing where all is well."""
        said = self._complaints(piece.text)
        if said == [_NOWHERE] and self._idle(piece, names):
            return []
        if len(said) > 1:  # a tool that does not exist is the reason, that nothing applies what follows from it
            said = [one for one in said if one != _NOWHERE]
        found = dict.fromkeys(self._fault(one, said, piece, source) for one in said)
        return list(found)

    def _idle(self, piece: Piece, names: frozenset[str] | None) -> bool:
        """Whether it is about groups that no tool is in at present. A deploy may take the last one away."""
        known = self._vocabulary.groups
        equals = piece.find("action", "==") is not None
        return not equals and bool(names) and all(one in known and not self._vocabulary.members(one) for one in names)

    def _complaints(self, text: str) -> list[str]:
        return [_PREFIX.sub("", said) for said in cedar.complaints(text, self._schema)]

    def _fault(self, said: str, others: list[str], piece: Piece, source: Source) -> Fault:
        for pattern, write in _WRITERS:
            if (match := pattern.search(said)) is not None:
                what, advice, meant, tokens = write(self._vocabulary, match, others)
                token = piece.find(*tokens) if tokens else None
                at = token.at if token is not None else self._narrowed(piece, said)
                return source.fault(at, what, advice, meant)
        return source.fault(self._narrowed(piece, said), f"{said[:1].upper()}{said[1:]}.")

    def _narrowed(self, piece: Piece, said: str) -> int:
        """Where the smallest condition begins that alone gives the same complaint."""
        head, terms = _terms(piece)
        for term in terms:
            alone = f"{head} when {{ {' '.join(token.text for token in term)} }};"
            if said in self._complaints(alone):
                return term[0].at
        return piece.at


def _terms(piece: Piece) -> tuple[str, list[list[Token]]]:
    """A statement's head, and the parts of its conditions between `&&`, `||` and braces."""
    depth, head_ends = 0, piece.tokens[-1].at
    terms: list[list[Token]] = []
    for token in piece.tokens:
        if token.text in {"when", "unless"} and depth == 0:
            head_ends = min(head_ends, token.at)
        if token.text in {"}", ")", "]"}:
            depth -= 1
        if token.at > head_ends and depth == 1 and token.text in {"{", "&&", "||"}:
            terms.append([])
        elif token.at > head_ends and depth >= 1 and terms:
            terms[-1].append(token)
        if token.text in {"{", "(", "["}:
            depth += 1
            if token.text == "{" and depth == 1:
                terms.append([])
    return piece.text[: head_ends - piece.at], [term for term in terms if term]


def _no_member(vocabulary: Vocabulary, match: re.Match[str], _: list[str]) -> _Written:
    kind, name = match["kind"], match["name"]
    known = {"Role": vocabulary.roles, "Env": ENVS, "Label": LABELS, "Task": vocabulary.tasks}.get(kind, ())
    noun = _NOUNS.get(kind, kind)
    what = f"There is no {noun} '{name}'."
    return what, f"There are: {listed(known)}.", closest(name, known), (kind, "::", f'"{name}"')


def _no_action(vocabulary: Vocabulary, match: re.Match[str], _: list[str]) -> _Written:
    name, known = match["name"], (*vocabulary.actions, *vocabulary.groups)
    return f"There is no tool or group '{name}'.", "", closest(name, known), ("Action", "::", f'"{name}"')


def _nowhere(_: Vocabulary, __: re.Match[str], ___: list[str]) -> _Written:
    advice = (
        'A group is written `action in Action::"writes"`, a tool `action == Action::"name"`, a role '
        '`principal in Role::"admin"`.'
    )
    return "This statement can never apply.", advice, None, ()


def _no_attribute(vocabulary: Vocabulary, match: re.Match[str], others: list[str]) -> _Written:
    path = match["path"]
    section, name, *_ = (*path.split("."), "")
    if not name:
        known = f"It has {listed(SECTIONS)}."
        return f"'context' has no '{section}'.", known, closest(section, SECTIONS), (".", section)
    if section == "run":
        known = (*RUN, *vocabulary.tallies)
        return f"A run has no '{name}'.", f"It has {listed(known)}.", closest(name, known), (".", name)
    tools = [found["tool"] for other in others if (found := _ATTRIBUTE.search(other)) and found["path"] == path]
    return _no_argument(vocabulary, section, path.partition(".")[2], tools)


def _no_argument(vocabulary: Vocabulary, section: str, name: str, tools: list[str]) -> _Written:
    first = name.split(".", maxsplit=1)[0]
    actions = [vocabulary.actions[tool] for tool in dict.fromkeys(tools) if tool in vocabulary.actions]
    tools = [action.name for action in actions]
    noun = {"args": "argument", "labels": "argument", "facts": "fact"}.get(section, "attribute")
    whose = f"Tool {tools[0]!r} has" if len(tools) == 1 else f"Tools {listed(tools)} have"
    what = f"{whose} no {noun} '{name}'."
    for action in actions:
        if section == "args" and (action.hidden or first in action.args.unseen):
            return what, f"'{action.name}' declares it out of policy.", None, (section, ".", first)
    has = {
        "args": [{field.name for field in action.args.fields} for action in actions],
        "labels": [set(action.labelled) for action in actions],
        "facts": [{fact.name for fact in action.facts} for action in actions],
    }.get(section, [])
    known = sorted(set[str]().union(*has))
    scope = "Let the statement's scope name the tools that have it."
    advice = scope if len(tools) > 1 else f"It has {listed(known)}."
    return what, advice, closest(name, known), (section, ".", first)


def _optional(_: Vocabulary, match: re.Match[str], __: list[str]) -> _Written:
    path = f"context.{match['path']}"
    before, last = path.rsplit(".", 1)
    return (
        f"'{path}' may be absent.",
        f"Ask first: `{before} has {last} && ...`.",
        None,
        (".", last),
    )


def _no_person_attribute(_: Vocabulary, match: re.Match[str], __: list[str]) -> _Written:
    name = match["path"]
    advice = 'Ask for roles: `principal in Role::"admin"`.'
    return f"Of a {match['type'].lower()} a policy knows no '{name}'.", advice, None, (".", name)


def _other_type(_: Vocabulary, match: re.Match[str], __: list[str]) -> _Written:
    expected, saw = match["expected"], match["saw"]
    advice = ""
    if "decimal" in {expected, saw}:
        advice = 'Amounts are compared as in `context.args.amount.greaterThan(decimal("100.00"))`.'
    return f"Here stands a {saw} where a {expected} is needed.", advice, None, ()


def _two_types(_: Vocabulary, match: re.Match[str], __: list[str]) -> _Written:
    one, two = match["one"], match["two"]
    kinds = [name for name in (one, two) if name in _NOUNS]
    advice = f'Write it as {kinds[0]}::"...".' if len(kinds) == 1 else ""
    return f"{one} and {two} are never the same.", advice, None, ()


def _no_type(_: Vocabulary, match: re.Match[str], __: list[str]) -> _Written:
    name, known = match["name"], ("Action", *_NOUNS)
    return f"There is no kind of thing '{name}'.", f"There are: {listed(known)}.", closest(name, known), (name, "::")


def _no_decimal(_: Vocabulary, match: re.Match[str], __: list[str]) -> _Written:
    advice = 'It has one to four places, as decimal("100.00").'
    return f'"{match["name"]}" is no decimal.', advice, None, ("decimal", "(", f'"{match["name"]}"')


_ATTRIBUTE = re.compile(r'attribute `(?P<path>[^`]+)` in context for Action::"(?P<tool>(?:[^"\\]|\\.)*)" not found')
_Writer: TypeAlias = Callable[[Vocabulary, "re.Match[str]", list[str]], _Written]
_WRITERS: tuple[tuple[re.Pattern[str], _Writer], ...] = (
    (re.compile(r'entity `(?P<kind>\w+)::"(?P<name>.*)"` is of an enumerated'), _no_member),
    (re.compile(r'unrecognized action `Action::"(?P<name>.*)"`'), _no_action),
    (re.compile(re.escape(_NOWHERE)), _nowhere),
    (_ATTRIBUTE, _no_attribute),
    (re.compile(r"optional attribute `(?P<path>[^`]+)` in context"), _optional),
    (re.compile(r"attribute `(?P<path>[^`]+)` on entity type `(?P<type>\w+)` not found"), _no_person_attribute),
    (re.compile(r"unexpected type: expected (?P<expected>.+) but saw (?P<saw>.+)"), _other_type),
    (re.compile(r"the types (?P<one>.+) and (?P<two>.+) are not compatible"), _two_types),
    (re.compile(r"unrecognized entity type `(?P<name>\w+)`"), _no_type),
    (re.compile(r'failed to parse as a decimal value: `"(?P<name>.*)"`'), _no_decimal),
)
