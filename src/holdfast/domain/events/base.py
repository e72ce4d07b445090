"""What facts are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypeVar, dataclass_transform

from holdfast.domain.ids import Ref

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def fact(cls: type[T]) -> type[T]:
    """A class of values that do not change. The type checker holds to that, the interpreter is not asked to.

    Four are made and written for each step: frozen, each takes twice as long to make, and with slots orjson
    takes three times as long to write it.
    """
    return dataclass(kw_only=True)(cls)


@fact
class Usage:
    """Tokens of one model request, or of all that a tool call did inside. Zero where not reported."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    requests: int = 0
    tool_calls: int = 0
    details: dict[str, int] = field(default_factory=dict[str, int])


@fact
class Messages:
    """A message list as a delta: keep the first `keep` of the list before it, then add these.

    A reference into another run, as session history has it, is written `<run id>/<digest>`.
    """

    keep: int = 0
    add: list[str] = field(default_factory=list[str])
    more: Ref | None = None
    """Where the list is too long for an event: content that holds it as a JSON array, instead of `add`."""


@fact
class Event:
    """What every event has in common."""

    type: ClassVar[str]
    version: ClassVar[int] = 1
