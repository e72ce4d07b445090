"""Prices that a configuration says: one `[[prices]]` table of holdfast.toml each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MTOK, KCOUNT = "USD for a million tokens", "USD for a thousand uses"


def _text(text: str) -> str:
    if not text or not text.isprintable() or text != text.strip():
        raise ValueError("is empty, or holds characters that cannot be seen")
    return text


def _whole(value: Any) -> Any:
    # A float is taken for what is written in the file: 0.1 is one tenth.
    if isinstance(value, bool):
        raise ValueError("is an amount in USD: write a number")  # noqa: TRY004 - pydantic's way
    return str(value) if isinstance(value, float) else value


Text = Annotated[str, AfterValidator(_text)]
Usd = Annotated[Decimal, BeforeValidator(_whole), Field(ge=0, le=1_000_000, max_digits=20, decimal_places=12)]

_UNITS: Mapping[str, str] = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "reasoning": "output_reasoning_mtok",
    "input_audio": "input_audio_mtok",
    "output_audio": "output_audio_mtok",
    "cache_audio_read": "cache_audio_read_mtok",
    "input_image": "input_image_mtok",
    "output_image": "output_image_mtok",
    "web_search": "web_searches_kcount",
    "file_search": "storage_searches_kcount",
    "code_execution": "code_executions_kcount",
    "request": "requests_kcount",
}
"""What each kind is called by genai-prices, whose arithmetic serves both."""

_BOTH: Mapping[str, tuple[str, str]] = {
    "cache_audio_read_mtok": ("cache_read", "input_audio"),
    "cache_audio_write_mtok": ("cache_write", "input_audio"),
    "cache_audio_write_1h_mtok": ("cache_write_1h", "input_audio"),
    "cache_image_read_mtok": ("cache_read", "input_image"),
    "cache_image_write_mtok": ("cache_write", "input_image"),
    "cache_image_write_1h_mtok": ("cache_write_1h", "input_image"),
    "output_audio_reasoning_mtok": ("reasoning", "output_audio"),
    "output_image_reasoning_mtok": ("reasoning", "output_image"),
}
"""What is of two kinds at once. Its price, where none is given, is the dearer of the two."""


class PriceTable(BaseModel):
    """What requests to a model cost. A kind that is not named costs what the kind does that it is part of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Text = Field(description="the model's name, as asked for or as it answers; `*` stands for anything")
    provider: Text | None = Field(None, description="only where this provider serves it, as openai or azure")
    tier: Text | None = Field(None, description="only in this service tier, as flex or priority")
    above: int = Field(0, ge=0, description="only for requests of more input tokens than this")
    since: date = Field(date.min, alias="from", description="from this day on, in UTC")

    input: Usd | None = Field(None, description=MTOK)
    output: Usd | None = Field(None, description=MTOK)
    cache_read: Usd | None = Field(None, description=MTOK)
    cache_write: Usd | None = Field(None, description=MTOK)
    cache_write_1h: Usd | None = Field(None, description=f"{MTOK}, kept for an hour")
    reasoning: Usd | None = Field(None, description=MTOK)
    input_audio: Usd | None = Field(None, description=MTOK)
    output_audio: Usd | None = Field(None, description=MTOK)
    cache_audio_read: Usd | None = Field(None, description=MTOK)
    input_image: Usd | None = Field(None, description=MTOK)
    output_image: Usd | None = Field(None, description=MTOK)
    web_search: Usd | None = Field(None, description=KCOUNT)
    file_search: Usd | None = Field(None, description=KCOUNT)
    code_execution: Usd | None = Field(None, description=KCOUNT)
    request: Usd | None = Field(None, description="USD for a thousand requests")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.units:
            raise ValueError("names no price: give at least 'input' and 'output', in USD for a million tokens")
        if (self.input is None) != (self.output is None):
            raise ValueError("needs 'input' and 'output' together: 0 where one of them costs nothing")
        if self.cache_write_1h is not None and self.cache_write is None:
            raise ValueError("has 'cache_write_1h', which needs 'cache_write'")
        if self.cache_audio_read is not None and (self.cache_read is None or self.input_audio is None):
            raise ValueError("has 'cache_audio_read', which needs 'cache_read' and 'input_audio'")
        return self

    @property
    def units(self) -> dict[str, Decimal]:
        """The prices, as genai-prices names them."""
        found = {unit: price for name, unit in _UNITS.items() if (price := getattr(self, name)) is not None}
        for unit, (one, other) in _BOTH.items():
            both = (getattr(self, one), getattr(self, other))
            if unit not in found and None not in both:
                found[unit] = max(both)
        return found

    @property
    def place(self) -> tuple[Any, ...]:
        """What it speaks of: two tables may not speak of the same."""
        return (self.model, self.provider, self.tier, self.above, self.since)

    def is_of(self, names: tuple[str, ...], provider: str, on: date) -> bool:
        """Whether it speaks of a model by one of these names, at this provider, on that day."""
        return (
            self.since <= on
            and (self.provider is None or self.provider == provider)
            and any(fnmatchcase(name, self.model) for name in names)
        )

    @property
    def closeness(self) -> tuple[Any, ...]:
        """How closely it speaks of what it speaks of; of several the closest holds, of those the latest."""
        exact = not any(char in self.model for char in "*?[")
        return (exact, len(self.model), self.provider is not None, self.tier is not None, self.above, self.since)

    def __str__(self) -> str:
        """The line of `holdfast config show`."""
        told = [self.model]
        told += [f"at {self.provider}"] if self.provider else []
        told += [f"tier {self.tier}"] if self.tier else []
        told += [f"above {self.above} input tokens"] if self.above else []
        told += [f"from {self.since}"] if self.since != date.min else []
        return ", ".join(told)
