"""`holdfast runs tail`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli.run.outcome import exit_code
from holdfast.cli.screen import print_json
from holdfast.cli.services import run_id, with_services
from holdfast.cli.teller import Teller, preview
from holdfast.service.get_run import get_run
from holdfast.service.views import DeltaView, EventView, StreamItem
from holdfast.service.watch_events import watch_events

if TYPE_CHECKING:
    from holdfast.cli.exits import ExitCode
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def tail_run(settings: Settings, reference: str, *, after: str, as_json: bool) -> ExitCode:
    """Print the items of a run's stream until it ends.

    Raises:
        NotFound: there is no such run.
        InvalidCursor: `after` is not a place in its stream.
    """

    async def act(services: Services) -> ExitCode:
        run = await run_id(services, reference)
        teller = Teller(quiet=as_json)
        async for item in watch_events(services, services.caller, run, after=after):
            if as_json:
                print_json({"item": _name(item), **item.model_dump(mode="json")})
            else:
                teller.tell(item)
        view = await get_run(services, services.caller, run)
        if not as_json:
            teller.say(f"{view.state}. {preview(view.output) or preview(view.error and view.error.message)}".rstrip())
        return exit_code(view)

    return with_services(settings, act)


def _name(item: StreamItem) -> str:
    match item:
        case EventView():
            return "event"
        case DeltaView():
            return "delta"
        case _:
            return "attempt_void"
