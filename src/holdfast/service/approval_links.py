"""Links by which one person can decide one human task: signed, for one digest, for a while, good for one decision.

Looking decides nothing, since mail scanners look at every link. A link proves that whoever holds it got it from
somebody who may hand out such links; that is enough for an approver, and not for an administrator, who logs in as well.
Nothing is stored: a link is used up by the vote that it leads to, and one for another digest was never about this.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import orjson

from holdfast.domain.errors import InvalidInput, MissingScope, NotFound, RequestError
from holdfast.domain.principal import PrincipalKind, Who
from holdfast.domain.rights import Reach, Role, Scope
from holdfast.service.approval_shapes import ApprovalDetail, LinkView
from holdfast.service.approval_view import approval_detail, existing_approval
from holdfast.service.decide_escalation import decide
from holdfast.service.manage_principals import existing_principal
from holdfast.service.services import Services
from holdfast.store import audit
from holdfast.store.approvals import get_approval
from holdfast.store.principals import get_principal

ENDS_IN_S = 24 * 3600.0
ENDS_MOST_S = 7 * 24 * 3600.0
PATH = "/links/"
_LINK = b"holdfast.approval-link.1"
_PAGE = b"holdfast.approval-link-page.1"
_PAGE_S = 3600
_AUTHORISED = frozenset({"approval", "in_doubt"})
"""Kinds that those behind the call have no say in, as `authorises` in `18_approvals.sql`."""


LinkVerdict = Literal["approved", "rejected", "answered", "declined", "done", "not_done", "go_on", "fail_run"]
"""What can be said by a link. To raise a limit, and to end a run with an output, takes an interface of its own."""


class LinkInvalid(NotFound):
    """It is none of ours, has ended, was used, or is about what is not asked any more. Nobody is told which."""

    def __init__(self) -> None:
        super().__init__("This link opens nothing, or nothing any more. Ask for another.")


@dataclass(frozen=True, slots=True)
class LinkDecision:
    """What somebody says by a link."""

    verdict: LinkVerdict
    reason: str | None = None
    result: Any = None
    answer: Any = None


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A link that is in force, and what it is about."""

    who: Who
    """Whose it is, with what they may now."""
    name: str
    maker: str
    task: ApprovalDetail
    needs_login: bool
    page: str
    """What a page must send back with the decision: only one that was shown has it."""


async def make_link(
    services: Services, who: Who, approval: UUID, principal: UUID, *, base_url: str, ends_in_s: float = ENDS_IN_S
) -> LinkView:
    """A link for a person to decide a task as it is now. The audit log says who made it for whom.

    For oneself it takes the right to decide; for others also that to make keys of theirs, since it lets its holder act
    as them.

    Raises:
        NotFound: there is no such task, or no such principal.
        MissingScope: they may not make links for others.
        InvalidInput: this one could not decide it, or who makes it is behind the call.
    """
    row = await existing_approval(services, who, approval, Scope.APPROVALS_DECIDE)
    if str(principal) != who.principal:
        if who.narrowed or who.reach(Scope.KEYS_WRITE) is not Reach.TENANT:
            raise MissingScope.of(Scope.KEYS_WRITE)
        if row.ask and row.kind in _AUTHORISED and who.principal in row.requesters:
            raise InvalidInput("You are behind this call; a link of yours would let nobody decide it.")
    person = await existing_principal(services, who.tenant, principal)
    theirs = await get_approval(services.db, who.tenant, approval, by=str(principal), newcomer_s=services.newcomer_s)
    assert theirs is not None
    if row.state != "pending":
        raise InvalidInput("A link is for what waits to be decided, and this does not.")
    if person.kind is not PrincipalKind.PERSON or theirs.refused or theirs.voted:
        why = theirs.refused or ("voted" if theirs.voted else "no_person")
        raise InvalidInput(f"A link for {person.name} would open nothing: they may not decide this ({why}).")
    ends = services.now() + timedelta(seconds=min(ends_in_s, ENDS_MOST_S))
    said = [str(who.tenant), str(approval), str(principal), who.principal, row.digest, int(ends.timestamp())]
    token = _signed(services, orjson.dumps(said))
    await audit.note(
        services.db,
        who.tenant,
        actor=who.actor,
        action="link.created",
        target=str(approval),
        details={"principal": str(principal), "ends_at": ends.isoformat()},
    )
    return LinkView(
        url=f"{base_url.rstrip('/')}{PATH}{token}",
        approval=approval,
        principal=principal,
        digest=row.digest,
        expires_at=datetime.fromtimestamp(int(ends.timestamp()), UTC),
    )


async def open_link(services: Services, token: str) -> OpenLink:
    """What a link is about. Opening it uses nothing up.

    Raises:
        LinkInvalid: it opens nothing.
    """
    said = _read(services, token)
    try:
        tenant, approval, principal = (UUID(one) for one in said[:3])
        maker, digest, ends = str(said[3]), str(said[4]), int(said[5])
        row = await get_principal(services.db, tenant, principal)
        if row is None or row.disabled_at is not None or ends <= services.now().timestamp():
            raise LinkInvalid
        who = Who.of(row.principal())
        task = await existing_approval(services, who, approval, Scope.APPROVALS_DECIDE)
        if (task.state, task.digest, task.refused, task.voted) != ("pending", digest, None, False):
            raise LinkInvalid
        detail = await approval_detail(services, who, task, Scope.APPROVALS_DECIDE)
    except (NotFound, MissingScope):
        raise LinkInvalid from None
    page = _page(services, token, int(services.now().timestamp()))
    return OpenLink(who, row.name, maker, detail, Role.ADMIN in row.roles, page)


async def decide_by_link(
    services: Services,
    link: OpenLink,
    token: str,
    page: str,
    said: LinkDecision,
    *,
    logged_in: Who | None = None,
) -> ApprovalDetail:
    """Decide by a link, from a page that it was shown on.

    Args:
        services: what this process has.
        link: the link, opened.
        token: the same as it was sent.
        page: what the page sent back.
        said: what its person says.
        logged_in: who asks, where they have shown a credential.

    Raises:
        InvalidInput: the parts do not belong together, or to this task.
        LinkInvalid: the page is none of ours or an old one, who is logged in is another, an administrator is not logged
            in, or the database says no.
    """
    if not _is_page(services, token, page):
        raise LinkInvalid
    theirs = logged_in is not None and (logged_in.tenant, logged_in.principal) == (link.who.tenant, link.who.principal)
    if not theirs and (logged_in is not None or link.needs_login):
        raise LinkInvalid
    who = logged_in if logged_in is not None else link.who
    try:
        return await decide(
            services,
            who,
            link.task.id,
            said.verdict,
            digest=link.task.digest,
            reason=said.reason,
            result=said.result,
            answer=said.answer,
            via=None if theirs else link.maker,
        )
    except InvalidInput:
        raise
    except RequestError:
        # Whatever has become of it since it was opened: the link opens nothing any more.
        raise LinkInvalid from None


def _signed(services: Services, payload: bytes) -> str:
    return f"{_text(payload)}.{_text(hmac.digest(services.vault.derived(_LINK), payload, 'sha256'))}"


def _read(services: Services, token: str) -> list[str]:
    head, _, tail = token.partition(".")
    try:
        payload, mac = _bytes(head), _bytes(tail)
    except ValueError:
        raise LinkInvalid from None
    # Compared as it was sent too: the last character of base64 has bits that decode to nothing.
    if not hmac.compare_digest(mac, hmac.digest(services.vault.derived(_LINK), payload, "sha256")):
        raise LinkInvalid
    if token != f"{_text(payload)}.{_text(mac)}":
        raise LinkInvalid
    return orjson.loads(payload)


def _page(services: Services, token: str, at: int) -> str:
    mac = hmac.digest(services.vault.derived(_PAGE), f"{at} {token}".encode(), "sha256")
    return f"{at}.{_text(mac)}"


def _is_page(services: Services, token: str, page: str) -> bool:
    at, _, _ = page.partition(".")
    if not (at.isascii() and at.isdigit() and len(at) < 12):  # noqa: PLR2004 - more would be no time
        return False
    fresh = 0 <= services.now().timestamp() - int(at) <= _PAGE_S
    return fresh and hmac.compare_digest(page.encode(), _page(services, token, int(at)).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
