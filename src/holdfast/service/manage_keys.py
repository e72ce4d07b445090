"""API keys: make, rotate, end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from holdfast.domain.errors import InvalidInput, NotFound, UnknownScope
from holdfast.domain.principal import Who
from holdfast.domain.rights import Reach, Scope
from holdfast.identity.api_keys import ApiKey
from holdfast.service.content import check_text
from holdfast.service.idempotency import keyed, made_before
from holdfast.service.identity_views import KeyPage, KeyView, NewKeyView
from holdfast.service.manage_principals import no_principal
from holdfast.service.pages import PAGE, ListCursor, cut
from holdfast.service.services import Services
from holdfast.store import keys
from holdfast.store.idempotency import Idempotency
from holdfast.store.keys import KeyRow

NAME_CHARS = 100
OVERLAP_S = 24 * 3600
"""How long a key that was rotated is still accepted, so that whoever uses it has time to change over."""
OVERLAP_MOST_S = 30 * 24 * 3600
_LATEST = datetime(9999, 12, 30, tzinfo=UTC)
"""A moment whose year has four digits in every zone: later ones cannot be read back in some."""


async def create_key(
    services: Services,
    who: Who,
    *,
    principal: UUID | None = None,
    name: str = "",
    scopes: Iterable[Scope] | None = None,
    expires_at: datetime | None = None,
    idempotency_key: str | None = None,
) -> NewKeyView:
    """Make a key. The secret is in the answer and nowhere else.

    Args:
        services: what this process has.
        who: the one who asks.
        principal: whose key; their own where none is named.
        name: what it is for.
        scopes: what it is narrowed to; None lets it do whatever its principal may.
        expires_at: when it ends; None never.
        idempotency_key: asking again with the same request answers with the key that the first made, without its
            secret, which nobody has any more.

    Raises:
        NotFound: there is no such principal, or it is another and they may make keys only for themselves.
        InvalidInput: the name is too long, or it would have ended already.
        MissingScope: it would be narrowed to something that the credential which asks does not have itself.
        IdempotencyConflict: the idempotency key was used with another request.
    """
    owner = UUID(who.principal) if principal is None else principal
    if who.reach(Scope.KEYS_WRITE) is Reach.OWN and str(owner) != who.principal:
        raise no_principal()
    wanted = None if scopes is None else sorted(set(scopes))
    narrowed = _narrowed(who, wanted)
    if len(check_text(name, what="name")) > NAME_CHARS:
        raise InvalidInput(f"The name has {len(name)} characters; the most is {NAME_CHARS}.")
    ends = _in_utc(expires_at)
    said = {"principal": str(owner), "name": name, "scopes": wanted, "expires_at": ends}
    asked = await keyed(services, who, "create_key", idempotency_key, said)
    if (first := await made_before(services, who.tenant, asked)) is not None:
        return await _shown(services, who, first)
    if ends is not None and ends <= services.now():
        raise _no_end()
    return await _make(services, who, asked, principal=owner, name=name, scopes=narrowed, expires_at=ends, by=who.actor)


async def rotate_key(
    services: Services,
    who: Who,
    key: UUID,
    *,
    overlap_s: float = OVERLAP_S,
    expires_at: datetime | None = None,
    idempotency_key: str | None = None,
) -> NewKeyView:
    """Make a key like this one, which ends after `overlap_s` seconds: until then both are accepted.

    Both happen or neither. With an idempotency key, asking again makes no further successor; see `create_key`.

    Args:
        services: what this process has.
        who: the one who asks.
        key: the key to replace.
        overlap_s: for how long it is still accepted.
        expires_at: when the successor ends. Where it is not said, the successor lives as long from now as the key it
            replaces was made to live; one that never ends is replaced by one that never ends.
        idempotency_key: as for `create_key`.

    Raises:
        NotFound: there is no such key, or it is somebody else's.
        InvalidInput: the key has ended, the overlap is too long, or the successor would have ended already.
        MissingScope: the key may something that the credential which asks does not have itself.
        UnknownScope: it is narrowed to something that this release does not know.
        IdempotencyConflict: the idempotency key was used with another request.
    """
    if not 0 <= overlap_s <= OVERLAP_MOST_S:
        raise InvalidInput(f"The overlap has to be between 0 and {OVERLAP_MOST_S} seconds.")
    ends = _in_utc(expires_at)
    row = await _existing(services, who, key, Scope.KEYS_WRITE)
    scopes = _narrowed(who, None if row.scopes is None else _known(row.scopes))
    said = {"key": str(key), "overlap_s": overlap_s} | ({} if ends is None else {"expires_at": ends})
    asked = await keyed(services, who, "rotate_key", idempotency_key, said)
    if (first := await made_before(services, who.tenant, asked)) is not None:
        return await _shown(services, who, first)
    now = services.now()
    if ends is not None and ends <= now:
        raise _no_end()
    return await _make(
        services,
        who,
        asked,
        principal=row.principal,
        name=row.name,
        scopes=scopes,
        expires_at=ends or _as_long_again(row, now),
        by=who.actor,
        replaces=key,
        overlap_until=now + timedelta(seconds=overlap_s),
    )


def _as_long_again(row: KeyRow, now: datetime) -> datetime | None:
    """When a key ends that is made now to live as long as this one was."""
    if row.expires_at is None:
        return None
    try:
        return now + (row.expires_at - row.created_at)
    except OverflowError:
        return _LATEST


async def _make(services: Services, who: Who, asked: Idempotency | None, **what: Any) -> NewKeyView:
    key, id_ = ApiKey.generate(who.tenant), services.new_id()
    outcome = await keys.create_key(services.db, who.tenant, id_, digest=key.digest, idempotency=asked, **what)
    if outcome == "absent":
        raise no_principal()
    if outcome == "ended":
        raise InvalidInput("This key has ended. Make a new one.")
    # Asked before: at this very moment, or by an attempt of ours whose answer was lost.
    made = id_ if outcome == "created" else await made_before(services, who.tenant, asked) or id_
    return await _shown(services, who, made, secret=key.text if made == id_ else None)


async def _shown(services: Services, who: Who, key: UUID, secret: str | None = None) -> NewKeyView:
    return NewKeyView(**key_view(await _existing(services, who, key)).model_dump(), secret=secret)


async def revoke_key(services: Services, who: Who, key: UUID) -> KeyView:
    """End a key now. Ended already, nothing changes.

    Raises:
        NotFound: there is no such key, or it is somebody else's.
    """
    await _existing(services, who, key, Scope.KEYS_WRITE)
    await keys.end_key(services.db, who.tenant, key, by=who.actor)
    return key_view(await _existing(services, who, key, Scope.KEYS_WRITE))


async def list_keys(services: Services, who: Who, *, cursor: str | None = None, limit: int = PAGE) -> KeyPage:
    """Keys, newest first: their own, or the tenant's where their scope reaches so far.

    Raises:
        InvalidCursor: `cursor` was not made by this list.
    """
    rows = await keys.list_keys(
        services.db,
        who.tenant,
        principal=_only(who, Scope.KEYS_READ),
        before=ListCursor.place(cursor),
        limit=limit + 1,
    )
    page, more = cut(rows, limit, lambda row: ListCursor(row.created_at, row.id))
    return KeyPage(items=[key_view(row) for row in page], next=more)


def key_view(row: KeyRow) -> KeyView:
    """A key as readers get it."""
    return KeyView(
        id=row.id,
        principal=row.principal,
        name=row.name,
        scopes=row.scopes,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        used_at=row.used_at,
    )


async def _existing(services: Services, who: Who, key: UUID, scope: Scope = Scope.KEYS_WRITE) -> KeyRow:
    rows = await keys.list_keys(services.db, who.tenant, id=key, principal=_only(who, scope), limit=1)
    if not rows:
        raise NotFound("There is no key with this id. `GET /v1/keys` or `holdfast keys ls` lists them.")
    return rows[0]


def _only(who: Who, scope: Scope) -> UUID | None:
    only = who.only(scope)
    return None if only is None else UUID(only)


def _narrowed(who: Who, scopes: Sequence[Scope] | None) -> Sequence[Scope] | None:
    """What the new key is narrowed to: a narrowed credential makes none, for anybody, that may more than itself."""
    if scopes is None:
        return sorted(who.rights) if who.narrowed else None
    if who.narrowed:
        for scope in scopes:
            who.reach(scope)
    return scopes


def _known(scopes: Iterable[str]) -> Sequence[Scope]:
    """The scopes of a key that is there already.

    Raises:
        UnknownScope: another release knew more.
    """
    try:
        return sorted(map(Scope, scopes))
    except ValueError:
        raise UnknownScope(
            f"This key is narrowed to scopes of which this release does not know all: {', '.join(sorted(scopes))}. "
            "Rotate it with the release that made it, or make a new key."
        ) from None


def _in_utc(end: datetime | None) -> datetime | None:
    """The end of a key, of one moment however it is written.

    Raises:
        InvalidInput: it has no zone, or is no time in UTC.
    """
    if end is None:
        return None
    if end.tzinfo is None:
        raise _no_end()
    try:
        return end.astimezone(UTC)
    except OverflowError:
        raise _no_end() from None


def _no_end() -> InvalidInput:
    return InvalidInput("The end of the key has to be a time in the future, with its zone, as 2027-01-01T00:00:00Z.")
