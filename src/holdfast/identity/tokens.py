"""`TokenVerifier`: from a bearer token to who is asking, as one line of steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Self

from holdfast.domain.errors import UserError
from holdfast.identity.checks import check_claims, check_header
from holdfast.identity.claims import Claims, claims_of
from holdfast.identity.compact import take_apart
from holdfast.identity.fetch import fetch as fetch_url
from holdfast.identity.issuers import IssuerSettings
from holdfast.identity.jwks import Fetch, FileKeys, KeySource, UrlKeys
from holdfast.identity.kept import Clock, Report
from holdfast.identity.key_set import KeySet, SigningKey
from holdfast.identity.reasons import Reason, refuse


class TokenVerifier:
    """Checks bearer tokens of the issuers that are configured. One for each process; close it at the end.

    Args:
        issuers: whom to believe.
        report: told when an issuer's keys cannot be read anew, and when they can again.
        now: the time of day, in seconds, that tokens are measured by.
        clock: seconds that never go back, for the age of keys.
        fetch: gets what stands at an address, or raises OSError.

    Raises:
        UserError: two issuers have one name.
    """

    def __init__(
        self,
        issuers: Iterable[IssuerSettings],
        *,
        report: Report = lambda _issuer, _fault: None,
        now: Clock = time.time,
        clock: Clock = time.monotonic,
        fetch: Fetch = fetch_url,
    ) -> None:
        self._now = now
        self._issuers: dict[str, tuple[IssuerSettings, KeySource]] = {}
        for issuer in issuers:
            if issuer.issuer in self._issuers:
                raise UserError(f"Two issuers are named '{issuer.issuer}'. Keep one.")
            self._issuers[issuer.issuer] = issuer, _source(issuer, clock, fetch, report)

    async def verify(self, token: str) -> Claims:
        """Whom the token speaks of.

        Raises:
            Unauthenticated: it is not accepted; `reason` is one of `Reason`.
        """
        sent = take_apart(token)
        issuer, source = self._issuer_of(sent.payload.get("iss"))
        algorithm, kid = check_header(issuer, sent)
        key = await self._key(source, kid, algorithm)
        if not key.signed(algorithm, sent.signed, sent.signature):
            refuse(Reason.BAD_SIGNATURE)
        times = check_claims(issuer, sent.payload, self._now())
        return claims_of(issuer, sent.payload, times)

    async def faults(self) -> Mapping[str, str]:
        """The issuers whose tokens cannot be checked now, and why. For a start, and for `doctor`; also fetches keys."""
        await asyncio.gather(*(source.current() for _, source in self._issuers.values()))
        return {name: fault for name, (_, source) in self._issuers.items() if (fault := source.fault) is not None}

    async def aclose(self) -> None:
        """End what is under way."""
        for _, source in self._issuers.values():
            await source.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _issuer_of(self, name: object) -> tuple[IssuerSettings, KeySource]:
        found = self._issuers.get(name) if isinstance(name, str) else None
        return found or refuse(Reason.UNKNOWN_ISSUER)

    async def _key(self, source: KeySource, kid: str | None, algorithm: str) -> SigningKey:
        keys = await source.current()
        if (key := self._pick(keys, kid, algorithm)) is None:
            keys = await source.newest()
            key = self._pick(keys, kid, algorithm)
        return key or refuse(Reason.UNKNOWN_KEY if keys else Reason.KEYS_UNAVAILABLE)

    def _pick(self, keys: KeySet | None, kid: str | None, algorithm: str) -> SigningKey | None:
        return keys.pick(kid, algorithm, self._now()) if keys else None


def _source(issuer: IssuerSettings, clock: Clock, fetch: Fetch, report: Report) -> KeySource:
    if issuer.jwks_file is not None:
        return FileKeys(issuer, issuer.jwks_file, clock, report)
    assert issuer.jwks_url is not None
    return UrlKeys(issuer, issuer.jwks_url, clock, fetch, report)
