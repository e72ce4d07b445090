"""A run that repeats itself."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar

from holdfast.domain.events.base import Event, fact
from holdfast.domain.ids import Ref
from holdfast.domain.loops import LoopKind


@fact
class LoopDetected(Event):
    """A tool call was not made, since it would have gone on with a loop, and the model was told so."""

    type: ClassVar[str] = "loop_detected"
    scope: str
    step: int
    call: str
    tool: str
    args: Ref
    """As the model gave them."""
    kind: LoopKind
    times: int
    """How often it was seen before."""
    round: list[str] = field(default_factory=list[str])
    """The tools of one round, where it is a cycle."""
    loops: list[str] = field(default_factory=list[str])
    """The loops that it would have gone on with, each by a digest of what is repeated: told of once."""
    why: Ref
    """What the model was told."""
