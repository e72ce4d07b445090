"""`holdfast serve`."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from holdfast.api import create_api
from holdfast.api.requests import LOOPBACK
from holdfast.cli.process import new_loop, settle_heap
from holdfast.cli.settings import app_of
from holdfast.domain.errors import OperatorError, UserError
from holdfast.loading import load_app
from holdfast.observe.logs import logger, set_up_logs
from holdfast.observe.names import LogEvent
from holdfast.wiring import open_api, open_gate, open_halting, policy_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from holdfast.app import App
    from holdfast.settings import Settings

_CLOSE_S = 5
"""How long requests under way may take once the process is told to stop. Event streams end then; clients resume."""


def serve(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT.

    Raises:
        UserError: the app cannot be loaded, its policy is not in order, or nobody has said what becomes of a tool.
        OperatorError: the port is taken; the database cannot be had, is of another version, or refuses.
    """
    if settings.dev_login and settings.host not in LOOPBACK:
        raise UserError(
            f"The login of `holdfast dev` lets in whoever can see your screen, so it is not served on {settings.host}. "
            "Listen on 127.0.0.1, or use `holdfast serve` and `holdfast worker` with keys."
        )
    set_up_logs(settings.log_level, settings.log_format)
    app = load_app(app_of(settings))
    # What its workers would refuse, nobody should be able to ask for.
    policy_of(app, settings)
    with _listener(settings) as listener, asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(settings, app, listener))


async def _serve(settings: Settings, app: App, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    log = logger("api", app=app.name)
    async with (
        open_api(settings, app) as services,
        open_gate(services, settings) as gate,
        open_halting(settings) as halting,
    ):
        config = uvicorn.Config(
            create_api(services, gate, halting=halting, max_body_bytes=settings.max_body_bytes, dev=settings.dev_login),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_CLOSE_S,
        )
        settle_heap()
        log.info(LogEvent.API_STARTED, url=f"http://{_bracketed(host)}:{port}", tasks=sorted(app.tasks))
        await _Server(config).serve(sockets=[listener])
    log.info(LogEvent.API_STOPPED)


class _Server(uvicorn.Server):
    """Uvicorn, told to stop by this loop: its own handlers would end the process by the signal afterwards."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """SIGTERM and SIGINT end the server while the block runs."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def _listener(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        raise OperatorError(
            f"The API cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}. Choose "
            "another by --port or HOLDFAST_PORT; `holdfast doctor` looks at what is there."
        ) from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
