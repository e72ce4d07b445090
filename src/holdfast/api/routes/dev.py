"""The login of `holdfast dev`: a page with three people to be. Only served there, and only on loopback."""

from __future__ import annotations

from html import escape
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from holdfast.api.forms import read_form
from holdfast.api.requests import COOKIE, TheServices, needs
from holdfast.domain.errors import Unauthenticated
from holdfast.domain.principal import Who
from holdfast.service import dev_login
from holdfast.service.manage_principals import get_me

router = APIRouter(include_in_schema=False)
_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'",
}
_STYLE = (
    "body{font:16px/1.5 system-ui;max-width:34rem;margin:4rem auto;padding:0 1rem}"
    "button{font:inherit;padding:.5rem 1rem;margin:0 .5rem .5rem 0}code{overflow-wrap:anywhere}"
)


@router.get("/dev/login")
async def get_login(ticket: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Looking uses nothing up: only sending the form does."""
    return _page("Who do you want to be?", _buttons("/dev/login", ticket))


@router.post("/dev/login")
async def post_login(request: Request, services: TheServices) -> Response:
    """Exchange the link's ticket for a cookie."""
    form = await read_form(request)
    try:
        return _enter(await dev_login.enter(services, form.get("ticket", ""), form.get("name", "")))
    except Unauthenticated:
        return _page("This link is used up.", "<p>Start <code>holdfast dev</code> again: it prints a new one.</p>", 401)


@router.post("/dev/switch")
async def post_switch(request: Request, services: TheServices, _: Annotated[Who, needs()]) -> Response:
    """Be another of the three."""
    return _enter(await dev_login.become(services, (await read_form(request)).get("name", "")))


@router.get("/dev")
async def get_dev(services: TheServices, who: Annotated[Who, needs()]) -> Response:
    """Who you are."""
    me = await get_me(services, who)
    roles = ", ".join(me.principal.roles) or "no role"
    return _page(f"You are {me.principal.name} ({roles}).", _buttons("/dev/switch", ""))


def _enter(key: str) -> Response:
    answer = RedirectResponse("/dev", 303, _HEADERS)
    answer.set_cookie(COOKIE, key, max_age=dev_login.STAY_S, httponly=True, samesite="strict")
    return answer


def _buttons(action: str, ticket: str) -> str:
    people = "".join(
        f'<button name="name" value="{name}">{name}, {" and ".join(roles)}</button>'
        for name, roles in dev_login.PEOPLE.items()
    )
    hidden = f'<input type="hidden" name="ticket" value="{escape(ticket)}">' if ticket else ""
    return f'<form method="post" action="{action}">{hidden}{people}</form>'


def _page(title: str, body: str, status: int = 200) -> Response:
    text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Holdfast dev</title><style>{_STYLE}</style>'
    return HTMLResponse(f"{text}<h1>{escape(title)}</h1>{body}</html>", status, _HEADERS)
