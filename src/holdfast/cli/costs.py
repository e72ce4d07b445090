"""`holdfast cost`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

from holdfast.cli.exits import ExitCode
from holdfast.cli.screen import out, print_json, table
from holdfast.cli.services import with_services
from holdfast.service.check_costs import check_costs
from holdfast.service.costs_csv import costs_csv
from holdfast.service.list_costs import list_costs
from holdfast.service.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.service.cost_views import CheckView, CostRowView, CostsView
    from holdfast.service.services import Services
    from holdfast.settings import Settings


def show(
    settings: Settings, *, by: Sequence[str], since: str, until: str | None, form: Literal["table", "json", "csv"]
) -> None:
    """Print what runs cost."""

    async def act(services: Services) -> CostsView:
        return await list_costs(services, services.caller, by=by, since=since, until=until)

    view = with_services(settings, act)
    if form == "json":
        print_json(view)
    elif form == "csv":
        sys.stdout.write(costs_csv(view))
    else:
        _print(view)


def check(settings: Settings, *, since: str, until: str | None, as_json: bool) -> int:
    """Compare the ledger with the journals, and tell each row that is not what they say. Returns the exit code."""

    async def act(services: Services) -> CheckView:
        return await check_costs(services, services.caller, since=since, until=until)

    view = with_services(settings, act)
    if as_json:
        print_json(view)
    else:
        for wrong in view.wrong:
            out().print(f"run {wrong.run}, {visible(wrong.row)}: ledger {wrong.ledger}, journal {wrong.journal}")
        late = f"; {view.under_way} are written to all the time, ask again for these" if view.under_way else ""
        found = f"{len(view.wrong)} rows are not what journals say" if view.wrong else "the ledger is what journals say"
        out().print(f"{view.runs} runs compared: {found}{late}")
    return ExitCode.FAILED if view.wrong else ExitCode.OK


_RIGHT = ("cost", "models", "tools", "requests", "calls", "input", "cached", "output")


def _print(view: CostsView) -> None:
    made = table(*view.by, *_RIGHT, right=_RIGHT)
    for row in view.items:
        made.add_row(*(_key(view, name, row.key[name]) for name in view.by), *_cells(row))
    if view.by:
        made.add_row(*("all" if not place else "" for place in range(len(view.by))), *_cells(view.total), style="bold")
    out().print(made)
    more = "; there are more, ask for fewer days" if view.truncated else ""
    out().print(f"{view.since} to {view.until}, days in {view.time_zone}{more}", style="dim")
    if view.total.at_least:
        out().print(
            f"At least: {view.total.unpriced} steps have no known price. `holdfast runs show RUN` names what; "
            "[[prices]] in holdfast.toml says what a model costs.",
            style="yellow",
            markup=False,
        )


def _key(view: CostsView, name: str, value: str | None) -> str:
    if value is None:
        return "-"
    return visible(view.names.get(value, value) if name == "user" else value) or "(none)"


def _cells(row: CostRowView) -> tuple[str, ...]:
    least = "≥ " if row.at_least else ""
    return (
        f"{least}${row.cost_usd:f}",
        f"${row.model_usd:f}",
        f"${row.tool_usd:f}",
        str(row.model_requests),
        str(row.tool_calls),
        str(row.input_tokens),
        str(row.cache_read_tokens),
        str(row.output_tokens),
    )
