"""Naming message lists by reference, as deltas against the list before.

A run's history is appended to almost always, so comparing by identity finds the common beginning without
looking at content, and each message is written once however many requests carry it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import is_

from pydantic_ai.messages import ModelMessage

from holdfast.domain.events import Messages
from holdfast.domain.ids import Ref
from holdfast.engine.codec import dump_message


class MessageLog:
    """The message lists of one scope, in the order they are journaled."""

    def __init__(self, seal: Callable[[bytes], Ref]) -> None:
        self._seal = seal
        self._last: list[ModelMessage] = []
        # The message is kept beside its name, so that its identity is not reused while the name stands.
        self._names: dict[int, tuple[ModelMessage, str]] = {}

    @property
    def last(self) -> list[ModelMessage]:
        """The list that the next delta is against."""
        return self._last

    def name(self, message: ModelMessage) -> str:
        """The reference of a message, stored if it is new."""
        known = self._names.get(id(message))
        if known is None:
            known = self._names[id(message)] = (message, self._seal(dump_message(message)))
        return known[1]

    def know(self, message: ModelMessage, ref: str) -> None:
        """`message` was loaded from `ref`: it need not be written again."""
        self._names[id(message)] = (message, ref)

    def delta(self, messages: Sequence[ModelMessage]) -> Messages:
        """`messages` as a delta; it becomes the list that the next one is against."""
        keep = self._common(messages)
        new = messages[keep:]
        del self._last[keep:]
        self._last.extend(new)
        return Messages(keep=keep, add=[self.name(message) for message in new])

    def _common(self, messages: Sequence[ModelMessage]) -> int:
        """How many messages both lists begin with."""
        last = self._last
        if len(messages) >= len(last) and all(map(is_, last, messages)):
            return len(last)
        return next(
            (n for n, (old, new) in enumerate(zip(last, messages, strict=False)) if old is not new), len(messages)
        )

    def replay(self, delta: Messages, load: Callable[[str], ModelMessage]) -> list[ModelMessage]:
        """The list that `delta` stands for, after the one replayed before it."""
        del self._last[delta.keep :]
        for ref in delta.add:
            message = load(ref)
            self.know(message, ref)
            self._last.append(message)
        return self._last
