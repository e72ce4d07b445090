"""An installation in a demo's directory, with a model provider of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from holdfast.observe.logs import set_up_logs
from holdfast.wiring import Installation, load_app

if TYPE_CHECKING:
    from holdfast.cli.demo.stage import Stage
    from holdfast.service.services import Services


@asynccontextmanager
async def installed(stage: Stage, app: str, script: str) -> AsyncGenerator[Services]:
    """What an app's use cases need, while the model provider says what `script` has it say. Ends the stage's processes.

    Raises:
        DemoFailed: the model provider does not start.
    """
    set_up_logs("warning")
    try:
        stage.start_model(script)
        async with Installation.open(stage.settings) as installation:
            await stage.know_model()
            loaded = await asyncio.to_thread(load_app, app)
            async with installation.api(loaded) as services:
                yield services
    finally:
        stage.end()
