"""Remembers every request the provider received, so that tests can hold it against their own books."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import orjson

from holdfast.testing.model_server.errors import ScriptError

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.testing.model_server.connection import HttpRequest

Outcome: TypeAlias = Literal["open", "sent", "cut", "client_gone", "server_stopped"]

FILTERS = (
    "path",
    "model",
    "script",
    "conversation",
    "turn",
    "attempt",
    "status",
    "fault",
    "outcome",
    "stream",
)


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """One request and what became of it.

    `outcome` is `open` while it is being answered, `sent` once all of it went to a client that was still
    there, `cut` if the script ended it early, `client_gone` if the client did. `status` is the HTTP status
    sent, if any. `received_at` is Unix time in seconds.
    """

    number: int
    method: str
    path: str
    raw_body: bytes | None
    received_at: float
    model: str = ""
    script: str = ""
    conversation: str = ""
    turn: int = 0
    attempt: int = 0
    stream: bool = False
    status: int | None = None
    fault: str | None = None
    error: str | None = None
    outcome: Outcome = "open"
    duration_s: float | None = None

    @property
    def body(self) -> Any:
        """The parsed JSON body. None if it is not JSON, or was dropped with age (`keep_bodies`)."""
        try:
            return None if self.raw_body is None else orjson.loads(self.raw_body)
        except orjson.JSONDecodeError:
            return None

    @property
    def client_read_all(self) -> bool:
        """Whether the whole scripted answer was handed to the socket while the client still held it."""
        return self.outcome == "sent"

    def as_json(self) -> dict[str, Any]:
        """The record as `/_holdfast/requests` shows it."""
        shown = {name: getattr(self, name) for name in self.__slots__ if name != "raw_body"}
        return {**shown, "client_read_all": self.client_read_all, "body": self.body}

    def matches(self, wanted: dict[str, Any]) -> bool:
        """Whether each field in `wanted` has the value given, compared as text."""
        return all(_shown(getattr(self, name)) == _shown(value) for name, value in wanted.items())


class RequestLog:
    """The records in order of arrival. Bodies are kept for the last `keep_bodies` only."""

    def __init__(self, keep_bodies: int) -> None:
        self._records: list[RequestRecord] = []
        self._keep_bodies = keep_bodies
        self._cleared = 0
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def begin(self, request: HttpRequest) -> RequestRecord:
        """Record that `request` arrived."""
        record = RequestRecord(
            number=self._cleared + len(self._records) + 1,
            method=request.method,
            path=request.path,
            raw_body=request.body,
            received_at=time.time(),
        )
        self._records.append(record)
        if len(self._records) > self._keep_bodies:
            self._records[-self._keep_bodies - 1].raw_body = None
        return record

    def finish(self, record: RequestRecord, outcome: Outcome) -> None:
        """Record how it ended."""
        record.outcome = outcome
        record.duration_s = time.time() - record.received_at
        self.changed()

    def find(self, wanted: dict[str, Any] | None = None) -> list[RequestRecord]:
        """Records with these fields (see `FILTERS`). Raises `ScriptError` for a field that is none."""
        if unknown := set(wanted or {}) - set(FILTERS):
            raise ScriptError(f"requests have no field {', '.join(sorted(unknown))}; filter by {', '.join(FILTERS)}")
        records = self._records.copy()
        return [each for each in records if each.matches(wanted)] if wanted else records

    def count(self, wanted: dict[str, Any]) -> int:
        """How many records have these fields. Without any it costs nothing, however long the campaign."""
        return len(self.find(wanted)) if wanted else len(self._records)

    def clear(self) -> None:
        """Forget all records; numbers go on."""
        self._cleared += len(self._records)
        self._records = []

    async def until(self, count: int, wanted: dict[str, Any]) -> None:
        """Wait until at least `count` records match."""

        def enough() -> bool:
            return self.count(wanted) >= count

        if enough():
            return
        waiter = (enough, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            await waiter[1]
        finally:
            self._waiting.remove(waiter)

    def changed(self) -> None:
        """Wake those whose condition has come true."""
        for enough, future in self._waiting:
            if not future.done() and enough():
                future.set_result(None)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(cast("object", value))
