"""What use cases about costs answer with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from uuid import UUID

from holdfast.domain.ledger import Amounts
from holdfast.domain.money import usd
from holdfast.service.base_views import View
from holdfast.store.ledger import CostRow


class CostView(View):
    """What a run cost so far."""

    cost_usd: Decimal
    """All that has a price."""
    at_least: bool
    """Something of it has no known price: it is more."""
    unpriced: int
    """In how many steps."""
    model_usd: Decimal
    tool_usd: Decimal

    @classmethod
    def of(cls, lines: Iterable[tuple[str, Amounts]]) -> CostView:
        """The sum of what was kept by kind."""
        micros = {"model": 0, "tool": 0, "run": 0}
        unpriced = 0
        for kind, amounts in lines:
            micros[kind] += amounts.cost_usd_micros
            unpriced += amounts.unpriced
        return cls(
            cost_usd=usd(sum(micros.values())),
            at_least=unpriced > 0,
            unpriced=unpriced,
            model_usd=usd(micros["model"]),
            tool_usd=usd(micros["tool"]),
        )


class CostRowView(View):
    """What some runs cost together."""

    key: dict[str, str | None]
    """What tells them apart: each dimension that was asked for. None: what is of no model, or tool, or session."""
    cost_usd: Decimal
    at_least: bool
    unpriced: int
    model_usd: Decimal
    tool_usd: Decimal
    model_requests: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    audio_tokens: int
    image_tokens: int
    server_tools: int
    compute_s: Decimal
    stored_bytes: int

    @classmethod
    def of(cls, row: CostRow, by: Iterable[str]) -> CostRowView:
        """A row of the store's."""
        return cls(
            key={name: getattr(row, name) for name in by},
            cost_usd=usd(row.cost_usd_micros),
            at_least=row.unpriced > 0,
            unpriced=row.unpriced,
            model_usd=usd(row.model_usd_micros),
            tool_usd=usd(row.tool_usd_micros),
            model_requests=row.model_requests,
            tool_calls=row.tool_calls,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cache_read_tokens=row.cache_read_tokens,
            cache_write_tokens=row.cache_write_tokens,
            reasoning_tokens=row.reasoning_tokens,
            audio_tokens=row.audio_tokens,
            image_tokens=row.image_tokens,
            server_tools=row.server_tools,
            compute_s=Decimal(row.compute_ms) / 1000,
            stored_bytes=row.bytes,
        )


class CostsView(View):
    """What runs cost in some days."""

    by: list[str]
    since: date
    until: date
    """The last day that is counted."""
    time_zone: str = "UTC"
    """Where days begin and end."""
    items: list[CostRowView]
    """The dearest first; by day, the earliest day first."""
    truncated: bool
    """There are more: ask for fewer days, or for less at once."""
    total: CostRowView
    """All of it, also what `items` has no room for."""
    names: dict[str, str]
    """What users are called, by what `key` calls them."""


class CheckedRunView(View):
    """One run whose rows are not what its journal says."""

    run: UUID
    row: str
    """The day, kind and name of the row."""
    ledger: dict[str, int]
    """What differs, as the ledger has it."""
    journal: dict[str, int]


class CheckView(View):
    """Whether the ledger is what journals say."""

    runs: int
    """That were compared."""
    under_way: int
    """That were written to all the time, and not compared."""
    wrong: list[CheckedRunView]
