"""`holdfast approvals link`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from rich.text import Text

from holdfast.cli.screen import clock, out, print_json
from holdfast.cli.services import with_services
from holdfast.service.approval_links import make_link
from holdfast.service.manage_principals import find_principal

if TYPE_CHECKING:
    from holdfast.service.approval_shapes import LinkView
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def link(settings: Settings, approval: UUID, name: str, *, ends_in_s: float, as_json: bool) -> None:
    """Print a link by which one person can decide one task.

    Raises:
        NotFound: there is no such task, or nobody of that name.
        InvalidInput: they could not decide it.
    """
    base = settings.public_url or f"http://{settings.host}:{settings.port}"

    async def act(services: Services) -> LinkView:
        person = await find_principal(services, services.caller.tenant, name)
        return await make_link(
            services, services.caller, approval, person.id, base_url=base, ends_in_s=ends_in_s
        )  # fmt: skip

    made = with_services(settings, act)
    if as_json:
        print_json(made)
        return
    out().print(Text(made.url), soft_wrap=True)
    out().print(Text(f"For {name} alone, until {clock(made.expires_at)}; whoever has it can decide as {name}."))
