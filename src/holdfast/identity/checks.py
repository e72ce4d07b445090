"""What a signed token must say before it is accepted here and now. Pure: the time comes in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from holdfast.identity.compact import Compact
from holdfast.identity.issuers import IssuerSettings
from holdfast.identity.reasons import Reason, refuse
from holdfast.identity.strict import Json

_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
"""Other types are tokens for other ends, a logout for one, that must not open a door."""
_LAST_S = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Times:
    """When a token was made and how long it is good."""

    issued_at: datetime
    expires_at: datetime
    auth_time: datetime | None


def check_header(issuer: IssuerSettings, token: Compact) -> tuple[str, str | None]:
    """The algorithm and the key's name that the header gives, if the issuer uses the algorithm.

    `jku`, `jwk`, `x5u` and `x5c` bring keys along, or say where to get one. They are never read: keys come from the
    configuration only.

    Raises:
        Unauthenticated: wrong type, algorithm, or an extension that we were told not to ignore.
    """
    header = token.header
    kind, algorithm, kid = header.get("typ", "JWT"), header.get("alg"), header.get("kid")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        refuse(Reason.WRONG_TYPE)
    if algorithm not in issuer.algorithms:
        refuse(Reason.WRONG_ALGORITHM)
    if "crit" in header:
        refuse(Reason.CRITICAL_HEADER)
    if kid is not None and not isinstance(kid, str):
        refuse(Reason.MALFORMED)
    return cast("str", algorithm), kid


def check_claims(issuer: IssuerSettings, payload: Json, now_s: float) -> Times:
    """The token's times, if it is meant for us and good now.

    Raises:
        Unauthenticated: it is not.
    """
    expires_s, issued_s = _time(payload, "exp"), _time(payload, "iat")
    if expires_s is None or issued_s is None:
        refuse(Reason.MALFORMED)
    if expires_s <= now_s - issuer.leeway_s:
        refuse(Reason.EXPIRED)
    auth_s, not_before_s = _time(payload, "auth_time"), _time(payload, "nbf")
    if max(issued_s, auth_s or 0, not_before_s or 0) > now_s + issuer.leeway_s:
        refuse(Reason.NOT_YET_VALID)
    if not set(issuer.audience) & _audiences(payload.get("aud")):
        refuse(Reason.WRONG_AUDIENCE)
    if "cnf" in payload:
        # It is only good together with a proof of possession, which a bearer does not send: it may be stolen.
        refuse(Reason.SENDER_CONSTRAINED)
    return Times(_date(issued_s), _date(expires_s), None if auth_s is None else _date(auth_s))


def _time(payload: Json, name: str) -> float | None:
    value = payload.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(Reason.MALFORMED)
    if not 0 <= value <= _LAST_S:  # neither is infinity, nor NaN
        refuse(Reason.MALFORMED)
    return value


def _date(time_s: float) -> datetime:
    return datetime.fromtimestamp(time_s, UTC)


def _audiences(value: object) -> set[str]:
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    return {item for item in items if isinstance(item, str)}
