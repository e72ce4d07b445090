"""An issuer's keys, kept and read anew: from a file when it changes, from an address when they grow old.

Rules for an address, each against somebody who would make us depend on, or hammer, the provider:

- Keys are at most `refresh_s` old. Whoever comes first after that waits for new ones; everybody who comes meanwhile
  waits for the same fetch. A fetch goes on when who asked for it goes away.
- A token that names an unknown key has them fetched at once, for the issuer may have a new one.
- No two fetches begin within `cooldown_s`, whatever tokens come: invented key names cost the provider nothing.
- When a fetch fails the old keys serve, for `outage_s` more, and nobody waits for a further attempt. Then none do:
  who can keep us from the provider must not be able to keep a withdrawn key alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from holdfast.identity.issuers import IssuerSettings
from holdfast.identity.kept import Clock, Kept, Report
from holdfast.identity.key_set import KeySet

Fetch = Callable[[str], Awaitable[bytes]]
"""Gets what stands at an address, or raises OSError."""


class KeySource(Protocol):
    """Where an issuer's keys come from."""

    @property
    def fault(self) -> str | None:
        """Why the keys cannot be read anew, None while they can."""
        ...

    async def current(self) -> KeySet | None:
        """The keys as they should be now; None when there are none to go by."""
        ...

    async def newest(self) -> KeySet | None:
        """The keys, looked for anew if that may be."""
        ...

    async def aclose(self) -> None:
        """Stop what is under way."""
        ...


class FileKeys:
    """Keys in a file: looked at for every token, read when it has changed."""

    def __init__(self, issuer: IssuerSettings, path: Path, clock: Clock, report: Report) -> None:
        self._path, self._clock = path, clock
        self._kept = Kept(issuer, str(path), clock, report)
        self._read: tuple[int, ...] | None = None

    @property
    def fault(self) -> str | None:
        """As `KeySource`."""
        return self._kept.fault

    async def current(self) -> KeySet | None:
        """The keys in the file, or those it held until it became unreadable."""
        now_s = self._clock()
        try:
            found = self._path.stat()
            # Replaced by renaming, or written within one tick of the file system's clock: all of it tells.
            mark = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
            if mark != self._read:
                self._kept.take(self._path.read_bytes(), now_s)
                self._read = mark
            elif self._kept.fault is None:
                self._kept.confirm(now_s)
        except OSError as error:
            self._read = None
            self._kept.failed(f"cannot be read: {error.strerror}")
        return self._kept.within(0)

    newest = current

    async def aclose(self) -> None:
        """Nothing is ever under way."""


class UrlKeys:
    """Keys at an address."""

    def __init__(self, issuer: IssuerSettings, url: str, clock: Clock, fetch: Fetch, report: Report) -> None:
        self._url, self._clock, self._fetch = url, clock, fetch
        self._refresh_s, self._cooldown_s = issuer.refresh_s, issuer.cooldown_s
        self._kept = Kept(issuer, url, clock, report)
        self._tried_at_s = float("-inf")
        self._flight: asyncio.Task[None] | None = None

    @property
    def fault(self) -> str | None:
        """As `KeySource`."""
        return self._kept.fault

    async def current(self) -> KeySet | None:
        """The keys; fetched first if they are old, and not waited for if that failed before."""
        if self._kept.age_s() > self._refresh_s:
            flight = self._start()
            if flight is not None and (self._kept.fault is None or self._usable() is None):
                await asyncio.shield(flight)
        return self._usable()

    async def newest(self) -> KeySet | None:
        """The keys, fetched again unless that was done a moment ago."""
        flight = self._start()
        if flight is not None:
            await asyncio.shield(flight)
        return self._usable()

    async def aclose(self) -> None:
        """End a fetch that is under way."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait([self._flight])

    def _usable(self) -> KeySet | None:
        return self._kept.within(self._refresh_s)

    def _start(self) -> asyncio.Task[None] | None:
        """The fetch under way, begun now if none is and one may be."""
        if self._flight is not None and not self._flight.done():
            return self._flight
        now_s = self._clock()
        if now_s - self._tried_at_s < self._cooldown_s:
            return None
        self._tried_at_s = now_s
        self._flight = asyncio.create_task(self._renew(now_s))
        return self._flight

    async def _renew(self, now_s: float) -> None:
        try:
            raw = await self._fetch(self._url)
        except OSError as error:
            self._kept.failed(str(error))
        else:
            self._kept.take(raw, now_s)
