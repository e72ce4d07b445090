"""The last good key set of an issuer, and what is wrong with getting another."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.identity.issuers import IssuerSettings
from holdfast.identity.key_set import KeySet, read_key_set

Clock = Callable[[], float]
Report = Callable[[str, str | None], None]
"""Told an issuer and why its keys cannot be read anew, or None when they can again; once for each change."""


class Kept:
    """The last good key set, how old it is, and what is wrong with getting another."""

    def __init__(self, issuer: IssuerSettings, place: str, clock: Clock, report: Report) -> None:
        self._name, self._outage_s = issuer.issuer, issuer.outage_s
        self._place, self._clock, self._report = place, clock, report
        self._keys: KeySet | None = None
        self._good_at_s = 0.0
        self.fault: str | None = None

    def age_s(self) -> float:
        """How long ago the keys were known to be the issuer's."""
        return float("inf") if self._keys is None else self._clock() - self._good_at_s

    def within(self, age_s: float) -> KeySet | None:
        """The keys, unless they are too old even for times when no others can be had."""
        return self._keys if self.age_s() <= age_s + self._outage_s else None

    def take(self, raw: bytes, at_s: float) -> None:
        """Keep what was read, if it is a key set; `at_s`: when the reading began."""
        try:
            self._keys = read_key_set(raw)
        except ValueError as error:
            self.failed(str(error))
        else:
            self.confirm(at_s)

    def confirm(self, at_s: float) -> None:
        """The keys are still the issuer's."""
        self._good_at_s = at_s
        self._say(None)

    def failed(self, cause: str) -> None:
        """Keep what there is, and say why nothing newer is there."""
        self._say(f"{self._place} {cause}")

    def _say(self, fault: str | None) -> None:
        if fault != self.fault:
            self.fault = fault
            self._report(self._name, fault)
