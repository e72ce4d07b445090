"""Finds the key of a subject, makes it at first use, and remembers it for a while."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from holdfast.domain.errors import KeyUnavailable, RequestError
from holdfast.store.query import query
from holdfast.store.vault.subject import SubjectKey
from holdfast.store.vault.wrapping import KEY_BYTES, WrappingKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from holdfast.store.pool import Database


class Erased(RequestError):
    """The subject's key was destroyed: nothing sealed under it can be read again, by anyone."""

    slug = "erased"
    status = 410


class Vault:
    """The keys of all subjects, as far as this process needs them.

    At most `max_keys` are remembered, each for `max_age_s`: so long after a key is destroyed may a process
    that had it still read with it, unless it is told to `forget`.
    """

    def __init__(
        self,
        db: Database,
        wrapping_key: WrappingKey,
        *,
        max_keys: int = 4096,
        max_age_s: float = 300.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db, self._wrapping_key = db, wrapping_key
        self._max_keys, self._max_age_s, self._monotonic = max_keys, max_age_s, monotonic
        self._keys: OrderedDict[tuple[UUID, str], tuple[float, SubjectKey]] = OrderedDict()

    async def subject(self, tenant: UUID, subject: str) -> SubjectKey:
        """The key of this subject, made now if it is new.

        Raises:
            Erased: it was destroyed.
            KeyUnavailable: it was wrapped under another wrapping key.
        """
        key = await self._find(tenant, subject, make=True)
        assert key is not None
        return key

    async def existing(self, tenant: UUID, subject: str) -> SubjectKey | None:
        """The key of this subject, or None where nothing was ever sealed under one: for those who only read.

        Raises:
            Erased, KeyUnavailable: as `subject`.
        """
        return await self._find(tenant, subject, make=False)

    async def check(self, tenant: UUID) -> None:
        """Find out at start-up, rather than run by run, that this process has another wrapping key than the data.

        Raises:
            KeyUnavailable: content of this tenant was sealed under another key.
        """
        named = {"tenant": tenant, "kek": self._wrapping_key.id}
        if rows := await self._db.fetch(tenant, "foreign_wrapping_key", named):
            raise KeyUnavailable(
                f"The wrapping key of this process is {self._wrapping_key.id}; content in the database was sealed "
                f"under {rows[0][0]}. Set HOLDFAST_KEY_FILE (or HOLDFAST_KEY) to that key: with this one nothing of it "
                "can be read."
            )

    def derived(self, purpose: bytes) -> bytes:
        """A key of the installation's for this purpose alone."""
        return self._wrapping_key.derived(purpose)

    def handed_over(self, tenant: UUID, subject: str, wrapped: bytes, kek: str, to: WrappingKey) -> bytes:
        """A subject's key as stored here, wrapped under another key instead.

        Raises:
            KeyUnavailable: it was wrapped under another wrapping key than this process has.
        """
        return to.wrap(tenant, subject, self._wrapping_key.unwrap(tenant, subject, wrapped, kek))

    def taken_over(self, tenant: UUID, subject: str, wrapped: bytes, of: WrappingKey) -> tuple[bytes, str]:
        """A subject's key that was wrapped under `of`, as it is stored here: wrapped, and under which key.

        Raises:
            KeyUnavailable: it was not, or was changed.
        """
        secret = of.unwrap(tenant, subject, wrapped, of.id)
        return self._wrapping_key.wrap(tenant, subject, secret), self._wrapping_key.id

    def forget(self, tenant: UUID, subject: str) -> None:
        """Drop a key from memory, as after it was destroyed."""
        self._keys.pop((tenant, subject), None)

    async def _find(self, tenant: UUID, subject: str, *, make: bool) -> SubjectKey | None:
        cached = self._keys.get((tenant, subject))
        if cached is not None and cached[0] > self._monotonic():
            self._keys.move_to_end((tenant, subject))
            return cached[1]
        secret = await self._secret(tenant, subject, make=make)
        if secret is None:
            return None
        key = SubjectKey(tenant, subject, secret)
        self._keys[tenant, subject] = (self._monotonic() + self._max_age_s, key)
        self._keys.move_to_end((tenant, subject))
        if len(self._keys) > self._max_keys:
            self._keys.popitem(last=False)
        return key

    async def _secret(self, tenant: UUID, subject: str, *, make: bool) -> bytes | None:
        wrapping, named = self._wrapping_key, {"tenant": tenant, "subject": subject}
        rows = await self._db.fetch(tenant, "subject_key", named)
        if not rows and make:
            wrapped = wrapping.wrap(tenant, subject, os.urandom(KEY_BYTES))
            async with self._db.tenant(tenant) as connection:
                await connection.execute(query("add_subject_key"), {**named, "wrapped": wrapped, "kek": wrapping.id})
                rows = await (await connection.execute(query("subject_key"), named)).fetchall()
        if not rows:
            return None
        [(wrapped, kek)] = rows
        if wrapped is None:
            raise Erased("The content of this subject was erased and cannot be read or added to any more.")
        return wrapping.unwrap(tenant, subject, wrapped, kek)
