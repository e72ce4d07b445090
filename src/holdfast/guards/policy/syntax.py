"""Where a statement's syntax is wrong. Cedar's parser says what it met, not where.

It is asked again with the statement cut short: as long as it complains of the end, all before was in order. So the
first token with which it complains of something else is the one.
"""

from __future__ import annotations

import re

from holdfast.guards.policy import cedar
from holdfast.guards.policy.errors import Fault, closest
from holdfast.guards.policy.source import Piece, Source, Token

_END = "unexpected end of input"
_EFFECTS = ("permit", "forbid")
_METHODS = (
    *("greaterThan", "greaterThanOrEqual", "lessThan", "lessThanOrEqual", "decimal"),
    *("contains", "containsAll", "containsAny", "isEmpty"),
)


def syntax_fault(piece: Piece, source: Source, said: str) -> Fault:
    """The fault, at the token that is wrong."""
    said = said.removeprefix("Policy parse error: ")
    effects = [token for token in piece.tokens if token.text in _EFFECTS]
    if len(effects) > 1:
        return source.fault(effects[1].at, "The statement before this one does not end.", "Write ';' behind it.")
    token = _wrong(piece, said)
    if said.startswith("invalid policy effect"):
        what = f"A statement begins with permit or forbid, not '{token.text}'."
        return source.fault(token.at, what, suggestion=closest(token.text, _EFFECTS))
    if "not a valid method" in said or "not a valid function" in said:
        advice = 'Amounts are compared by .greaterThan(decimal("100.00")) and the like, sets by .contains(...).'
        return source.fault(token.at, f"There is no '{token.text}'.", advice, closest(token.text, _METHODS))
    if said.startswith("duplicate annotation"):
        return source.fault(token.at, f"'@{token.text}' stands twice.", "Keep one.")
    if token.kind == "number" and "unexpected token" in said:
        advice = 'Write an amount as decimal("100.50").'
        return source.fault(token.at, "A number has no point in a policy.", advice)
    return source.fault(token.at, f"This cannot be read: {said}.", "What may stand here: docs/policy.md.")


def _wrong(piece: Piece, said: str) -> Token:
    first = _first_wrong(piece) if said.startswith("unexpected token") else piece.tokens[-1]
    if first is not piece.tokens[-1]:
        return first
    return _named(piece, said) or first  # the order of words was right, so the message is about one of them


def _named(piece: Piece, said: str) -> Token | None:
    """The token that the message quotes."""
    for name in [*re.findall(r"`([^`]+)`", said), *said.replace("@", " ").split()[-1:]]:
        for token in piece.tokens:
            if token.text == name and token.text not in {"like", "has", "in", "is"}:
                return token
    return None


def _first_wrong(piece: Piece) -> Token:
    low, high = 0, len(piece.tokens)  # the first `low` tokens are in order, the first `high` are not
    while high - low > 1:
        middle = (low + high) // 2
        if _complains(piece, middle).endswith(_END):
            low = middle
        else:
            high = middle
    return piece.tokens[high - 1]


def _complains(piece: Piece, count: int) -> str:
    try:
        cedar.parsed(piece.text[: piece.tokens[count - 1].end - piece.at])
    except cedar.CedarRefused as error:
        return str(error)
    return _END
