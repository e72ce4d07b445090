"""How an execution opens: what its first write says of it, and whether this process can read what is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pydantic_ai

import holdfast
from holdfast.domain import events as ev
from holdfast.domain.stored import load
from holdfast.store.claims import Claimed
from holdfast.store.hashing import StoredEvent


def loaded(stored: Iterable[StoredEvent]) -> Iterator[tuple[int, ev.AnyEvent]]:
    """The facts of a journal, each with its place."""
    return ((event.seq, load(event.type, event.body)) for event in stored)


def claimed_by(claimed: Claimed) -> ev.RunClaimed:
    """The first event of an epoch."""
    return ev.RunClaimed(
        epoch=claimed.epoch,
        worker=claimed.worker,
        holdfast=holdfast.__version__,
        pydantic_ai=pydantic_ai.__version__,
        rewound=claimed.rewound,
    )


def written_by_newer(library: str) -> str | None:
    """Why the journal cannot be read for sure, where a newer Pydantic AI than this process's wrote it."""
    mine = pydantic_ai.__version__
    if not library or _numbers(mine) >= _numbers(library):
        return None
    return (
        f"The journal was written by Pydantic AI {library}; this worker has {mine}, which cannot read it for sure. "
        f"Run a worker with {library} or newer."
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
