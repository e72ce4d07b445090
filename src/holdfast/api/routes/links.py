"""Links by which one person decides one human task: made here, and the page behind them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from holdfast.api.bodies import LinkBody
from holdfast.api.body import read_body
from holdfast.api.describe import BODY, answer, body, problems
from holdfast.api.forms import read_form
from holdfast.api.link_form import decision_of
from holdfast.api.link_page import asking_page, decided_page, invalid_page
from holdfast.api.requests import TheServices, credential_of, needs, read_id, reply
from holdfast.domain.errors import InvalidInput, Unauthenticated
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.approval_links import PATH, LinkInvalid, OpenLink, decide_by_link, make_link, open_link
from holdfast.service.approval_shapes import ApprovalDetail, LinkView
from holdfast.service.services import Services

router = APIRouter(tags=["approvals"])
_FORM_BYTES = 32 * 1024


@router.post(
    "/v1/approvals/{approval}/links",
    status_code=201,
    summary="Make a link",
    openapi_extra=body(LinkBody),
    responses={
        **answer(201, LinkView, "The link. It is shown this once."),
        **problems("not-found", *BODY),
    },
)
async def post_link(
    request: Request, approval: str, services: TheServices, who: Annotated[Who, needs(Scope.APPROVALS_DECIDE)]
) -> Response:
    """A link by which one person can decide this task, as it is now, once.

    For oneself, or, by whoever may make keys of others, for another. Whoever has it can read the task and decide it
    in that one's name, so send it to them alone. An administrator has to log in as well.
    """
    given = await read_body(request, LinkBody)
    base = services.public_url or str(request.base_url)
    view = await make_link(
        services, who, read_id(approval), given.principal, base_url=base, ends_in_s=given.ends_in_s
    )  # fmt: skip
    return reply(view, 201)


@router.get(PATH + "{token}", include_in_schema=False)
async def get_link(token: str, services: TheServices) -> Response:
    """Looking decides nothing: mail scanners look."""
    try:
        return asking_page(await open_link(services, token))
    except LinkInvalid:
        return invalid_page()


@router.post(PATH + "{token}", include_in_schema=False)
async def post_decision_by_link(token: str, request: Request, services: TheServices) -> Response:
    """Decide, from the page."""
    form = await read_form(request, _FORM_BYTES)
    try:
        link = await open_link(services, token)
    except LinkInvalid:
        return invalid_page()
    try:
        return decided_page(link, await _decided(services, request, link, token, form))
    except LinkInvalid:
        return invalid_page()
    except Unauthenticated:
        return asking_page(link, warning="Nothing was decided: log in as yourself first.", status=401, kept=form)
    except InvalidInput as error:
        return asking_page(link, warning=f"Nothing was decided. {error}", status=422, kept=form)


async def _decided(
    services: Services, request: Request, link: OpenLink, token: str, form: dict[str, str]
) -> ApprovalDetail:
    said = decision_of(link.task, form)
    logged_in = await _logged_in(request, form) if link.needs_login else None
    if link.needs_login and (logged_in is None or logged_in.principal != link.who.principal):
        raise Unauthenticated("another")
    return await decide_by_link(services, link, token, form.get("page", ""), said, logged_in=logged_in)


async def _logged_in(request: Request, form: dict[str, str]) -> Who | None:
    credential = form.get("credential", "").strip() or credential_of(request)
    if credential is None:
        return None
    source = request.client.host if request.client else "unknown"
    return await request.app.state.gate.admit(credential, source=source)
