"""No answer is kept by anybody on the way (RFC 9111, section 5.2.2.5): it is one caller's, in one tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


NO_STORE = {"Cache-Control": "no-store"}


class Uncached:
    """An application whose every answer says `no-store`.

    A cache between may keep an answer to a request with a cookie, and one that is told to may keep an answer to a
    request with a key: the next to ask under the same path may be of another tenant.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As every ASGI application."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(NO_STORE)
            await send(message)

        await self._app(scope, receive, sent if scope["type"] == "http" else send)
