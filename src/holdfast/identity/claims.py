"""What a token says of somebody, in our words: tenant, person or service, roles. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from holdfast.domain.ids import PLATFORM_NAME
from holdfast.domain.principal import PrincipalKind
from holdfast.domain.rights import Role
from holdfast.identity.checks import Times
from holdfast.identity.issuers import IssuerSettings
from holdfast.identity.reasons import Reason, refuse
from holdfast.identity.strict import Json

_MAX_TEXT = 255
"""What OpenID Connect allows a subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Somebody an issuer vouches for. Issuer and subject together are the identity; neither is enough alone."""

    issuer: str
    subject: str
    tenant: str
    """The tenant's name. Whether there is one is the store's business."""
    name: str | None
    """To show. Never an identity: people choose their names."""
    email: str | None
    """None as well where the issuer says that it is not verified."""
    kind: PrincipalKind
    roles: frozenset[Role] | None
    """None where the issuer says nothing of roles: then they are granted here."""
    issued_at: datetime
    expires_at: datetime
    auth_time: datetime | None
    """When the person last proved who they are, where the issuer tells."""


def claims_of(issuer: IssuerSettings, payload: Json, times: Times) -> Claims:
    """The claims of a token whose signature and times are checked.

    Raises:
        Unauthenticated: it names no subject, or no tenant that the issuer may speak for.
    """
    return Claims(
        issuer=issuer.issuer,
        subject=_exact(payload.get("sub")) or refuse(Reason.NO_SUBJECT),
        tenant=issuer.tenant or _tenant(issuer, payload) or refuse(Reason.NO_TENANT),
        name=_tidied(find(payload, issuer.name_claim)),
        email=_email(issuer, payload),
        kind=_kind(issuer, payload),
        roles=_roles(issuer, payload),
        issued_at=times.issued_at,
        expires_at=times.expires_at,
        auth_time=times.auth_time,
    )


def find(claims: Json, path: str) -> Any:
    """The claim at `path`, None if there is none.

    A key may hold dots itself, as `https://acme.example/roles` does, so the whole path is tried as a key first.
    """
    if path in claims:
        return claims[path]
    for at, letter in enumerate(path):
        inner: object = claims.get(path[:at]) if letter == "." else None
        if isinstance(inner, dict):
            found = find(cast("Json", inner), path[at + 1 :])
            if found is not None:
                return found
    return None


def _tenant(issuer: IssuerSettings, payload: Json) -> str | None:
    named = _exact(find(payload, issuer.tenant_claim or ""))
    if issuer.tenants is None:
        # Whom the platform's own tenant believes is written down by name, not left to what a token says.
        return None if named == PLATFORM_NAME else named
    return None if named is None else issuer.tenants.get(named)


def _kind(issuer: IssuerSettings, payload: Json) -> PrincipalKind:
    if issuer.service_claim is None:
        return PrincipalKind.PERSON
    said = find(payload, issuer.service_claim)
    is_service = issuer.service_value in _texts(said) if issuer.service_value else bool(said)
    return PrincipalKind.SERVICE if is_service else PrincipalKind.PERSON


def _roles(issuer: IssuerSettings, payload: Json) -> frozenset[Role] | None:
    if issuer.roles_claim is None:
        return None
    said = _texts(find(payload, issuer.roles_claim))
    return frozenset(role for text in said for role in issuer.roles.get(text, ()))


def _email(issuer: IssuerSettings, payload: Json) -> str | None:
    # Some providers let anybody enter any address, and say so here. One writes the boolean as a text.
    unverified = str(payload.get("email_verified", True)).lower() != "true"
    return None if unverified else _exact(find(payload, issuer.email_claim))


def _exact(value: object) -> str | None:
    """A text that identifies, as it is, or nothing: mended, it could be somebody else's."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        return None
    return value if value.isprintable() and value == value.strip() else None


def _tidied(value: object) -> str | None:
    """A text to show, without what cannot be seen: NUL, line ends, marks that turn the direction of writing."""
    if not isinstance(value, str):
        return None
    text = "".join(letter for letter in " ".join(value.split()) if letter.isprintable())
    return text[:_MAX_TEXT] or None


def _texts(value: object) -> Iterator[str]:
    for item in cast("list[object]", value) if isinstance(value, list) else (value,):
        if isinstance(item, str):
            yield item
