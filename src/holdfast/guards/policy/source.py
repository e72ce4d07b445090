"""A policy's text, taken apart into statements, so that each can be named by its line.

Cedar's parser numbers statements and forgets where they stood. So the text is split here, by a lexer that knows
comments, strings and where a statement ends, and each statement is parsed by Cedar alone: what Cedar says of it then
is about that one. A statement that our lexer splits wrongly is one that Cedar refuses.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.guards.policy.errors import Fault

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<text>"(?:\\.|[^"\\])*")
    |(?P<word>[?]?[A-Za-z_]\w*)
    |(?P<number>\d+)
    |(?P<sign>::|==|!=|<=|>=|&&|\|\||[-@(){}\[\],;:.<>+*!?])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number, string or sign, and where it begins in the file."""

    kind: str
    text: str
    at: int

    @property
    def end(self) -> int:
        """Where the next may begin."""
        return self.at + len(self.text)


@dataclass(frozen=True, slots=True)
class Piece:
    """The text of one statement, with its annotations and the comments inside it."""

    text: str
    tokens: tuple[Token, ...]

    @property
    def at(self) -> int:
        """Where it begins in the file."""
        return self.tokens[0].at

    def find(self, *texts: str) -> Token | None:
        """The last token of the first place where these stand one after the other."""
        for index in range(len(self.tokens) - len(texts) + 1):
            if all(self.tokens[index + offset].text == text for offset, text in enumerate(texts)):
                return self.tokens[index + len(texts) - 1]
        return None


class Source:
    """A policy's text and its lines."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def place(self, at: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        line = bisect_right(self._starts, at)
        return line, at - self._starts[line - 1] + 1

    def fault(self, at: int, what: str, advice: str = "", suggestion: str | None = None) -> Fault:
        """What is wrong there."""
        return Fault(*self.place(at), what, advice, suggestion)

    def split(self) -> tuple[list[Piece], list[Fault]]:
        """The statements, and what keeps the text from being split."""
        if (hidden := _INVISIBLE.search(self.text)) is not None:
            what = f"The character U+{ord(hidden[0]):04X} is not shown, and makes a policy read other than it is."
            return [], [self.fault(hidden.start(), what, "Remove it.")]
        pieces: list[Piece] = []
        open_: list[Token] = []
        for token in self._tokens():
            if token.kind == "wrong":
                unclosed = token.text == '"'
                what = "This string does not end." if unclosed else f"'{token.text}' means nothing in a policy."
                advice = 'Close it with ".' if unclosed else 'Strings stand in "double quotes", comments begin with //.'
                return pieces, [self.fault(token.at, what, advice)]
            open_.append(token)
            if token.text == ";":
                pieces.append(Piece(self.text[open_[0].at : token.end], tuple(open_)))
                open_ = []
        if open_:
            return pieces, [self.fault(open_[0].at, "This statement does not end.", "Write ';' behind it.")]
        return pieces, []

    def _tokens(self) -> Iterator[Token]:
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                yield Token("wrong", self.text[at], at)
                return
            kind = match.lastgroup or ""
            if kind != "space":
                yield Token(kind, match[0], at)
            at = match.end()
