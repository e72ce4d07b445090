"""Where the arguments of a call came from, as far as can be told from the journal.

`user`: the person wrote it, word for word, in the run's input, in a message to it or in answer to what a tool asked
them. Whatever else a model hands to a tool counts as `untrusted`: a document or another tool's result may have put it
there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, cast

from holdfast.engine.codec import parse

if TYPE_CHECKING:
    from holdfast.engine.recorder import Recorder

USER, UNTRUSTED = "user", "untrusted"

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def labels_of(recorder: Recorder, args: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """The labels of each argument, by name. A list or an object has those of all that is in it."""
    typed = _Typed(_said(recorder))
    return {name: frozenset(typed.label(leaf) for leaf in _leaves(value)) for name, value in args.items()}


def _said(recorder: Recorder) -> list[str]:
    """Every text that people gave to this run."""
    replay = recorder.replay
    refs = [] if replay.accepted is None else [replay.accepted.input]
    refs += [message.message for _, message in replay.messages]
    answers = [entry.answered for entry in replay.questions.values() if entry.answered is not None]
    refs += [told.answer for told in answers if told.own_word and told.answer is not None]
    return [leaf for ref in refs for leaf in map(str, _leaves(parse(recorder.content(ref))))]


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for one in cast("dict[str, Any]", value).values() for leaf in _leaves(one)]
    if isinstance(value, list):
        return [leaf for one in cast("list[Any]", value) for leaf in _leaves(one)]
    return [value]


class _Typed:
    """What people typed, to be looked up in."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts
        self._numbers = {_number(found) for text in texts for found in _NUMBER.findall(text)}

    def label(self, value: Any) -> str:
        # A flag or nothing at all carries nothing from anywhere: the model chose between what the tool offers.
        if value is None or isinstance(value, bool):
            return USER
        if isinstance(value, int | float):
            return USER if _number(str(value)) in self._numbers else UNTRUSTED
        return USER if self._wrote(str(value)) else UNTRUSTED

    def _wrote(self, value: str) -> bool:
        if not value.strip():
            return True
        if value in self._texts or (_NUMBER.fullmatch(value) and _number(value) in self._numbers):
            return True
        # As a whole: "bob@x.example" is not what somebody wrote who wrote "rob.bob@x.example.com".
        whole = re.compile(rf"(?<![\w.@+-]){re.escape(value)}(?![\w@+-]|\.\w)")
        return any(whole.search(text) for text in self._texts)


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text.replace(",", "")).normalize()
    except InvalidOperation:
        return None
