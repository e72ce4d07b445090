"""`holdfast runs cancel` and `holdfast runs message`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli.runs.listing import state_of
from holdfast.cli.screen import out, print_json
from holdfast.cli.services import run_id, with_services
from holdfast.service import cancel_run as cancelling
from holdfast.service import send_message as sending

if TYPE_CHECKING:
    from holdfast.service.services import Services
    from holdfast.service.views import RunView
    from holdfast.settings import Settings


def cancel_run(settings: Settings, reference: str, *, reason: str | None, as_json: bool) -> None:
    """Ask a run to stop.

    Raises:
        NotFound: there is no such run.
        AlreadyFinished: it ended otherwise.
    """

    async def act(services: Services) -> RunView:
        return await cancelling.cancel_run(services, services.caller, await run_id(services, reference), reason=reason)

    _print(with_services(settings, act), as_json=as_json)


def send_message(settings: Settings, reference: str, text: str, *, key: str | None, as_json: bool) -> None:
    """Say something to a run.

    Raises:
        NotFound: there is no such run.
        AlreadyFinished: it has ended.
    """

    async def act(services: Services) -> RunView:
        run = await run_id(services, reference)
        return await sending.send_message(services, services.caller, run, text, idempotency_key=key)

    _print(with_services(settings, act), as_json=as_json)


def _print(view: RunView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        out().print(f"run {view.id}: {state_of(view)}", markup=False)
