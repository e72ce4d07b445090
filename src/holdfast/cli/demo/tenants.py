"""`holdfast demo tenants`: two companies, one agent, and every way by which one could see the other tried."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from holdfast.cli.demo.attempts import by_name
from holdfast.cli.demo.attempts_database import at_the_database
from holdfast.cli.demo.attempts_lists import by_lists
from holdfast.cli.demo.attempts_live import by_a_tool, by_logs, while_it_speaks
from holdfast.cli.demo.companies import set_scene
from holdfast.cli.demo.show import show
from holdfast.observe.logs import set_up_logs
from holdfast.wiring import Installation

if TYPE_CHECKING:
    from holdfast.cli.demo.promises import Promise
    from holdfast.cli.demo.show import Teller
    from holdfast.cli.demo.stage import Stage
    from holdfast.cli.exits import ExitCode

APP = "holdfast.cli.demo.tenants_app:app"


def play(*, keep: bool, as_json: bool) -> ExitCode:
    """Try every way by which one company could see another, and print what came back."""
    return show(_play, keep=keep, as_json=as_json)


async def _play(stage: Stage, teller: Teller) -> list[Promise]:
    say = teller.say
    stage.prepare("http://127.0.0.1:9/no-bank")
    os.environ["HOLDFAST_LOG_LEVEL"] = "debug"
    set_up_logs("warning")
    try:
        stage.start_model("tenants.yaml")
        async with AsyncExitStack() as stack:
            installation = await stack.enter_async_context(Installation.open(stage.settings))
            await stage.know_model()
            stage.start_worker("worker", APP)
            url = await stage.start_api(APP)
            services = await stack.enter_async_context(installation.api())
            api_url, admin_url = installation.url("api"), installation.admin_url
            say("Two companies, Acme (Ann, Ben) and Bolt (Bob), on one installation, with one agent.")
            scene = await set_scene(services, url, admin_url, stack)
            say("Ann and Bob asked the same, under the same session id and idempotency key.")
            return [
                *await by_name(scene, say),
                *await while_it_speaks(stage, scene, admin_url, api_url, say),
                *await by_lists(scene, say),
                *await by_a_tool(scene, say),
                *await asyncio.to_thread(at_the_database, api_url, scene, say),
                *await by_logs(stage, scene, say),
            ]
    finally:
        stage.end()
