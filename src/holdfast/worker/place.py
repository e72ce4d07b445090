"""Where the user's own code is in a stack: the line a message should point at."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

_OURS = str(Path(__file__).parent.parent)
_NOT_THEIRS = (
    _OURS,
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    "<frozen",
)


def is_user_code(filename: str) -> bool:
    """Whether a file is neither of the standard library, nor of an installed package, nor Holdfast's."""
    return not filename.startswith(_NOT_THEIRS) and "site-packages" not in filename


def innermost_user_place(trace: TracebackType | None) -> str | None:
    """`file:line` of the deepest frame of user code in a traceback."""
    found = None
    while trace is not None:
        if is_user_code(trace.tb_frame.f_code.co_filename):
            found = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def stack_of(thread: int) -> list[FrameType]:
    """The frames of a running thread, innermost first; empty when it has ended."""
    frames = sys._current_frames()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - documented, despite its name
    return list(_outward(frames.get(thread)))


def place_in(frames: list[FrameType]) -> str:
    """`function (file:line)` of the innermost user code, or of the innermost frame where there is none."""
    frame = next((frame for frame in frames if is_user_code(frame.f_code.co_filename)), None)
    frame = frame or next(iter(frames), None)
    if frame is None:
        return "unknown"
    return f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{frame.f_lineno})"


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
