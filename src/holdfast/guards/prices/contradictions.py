"""Where what a provider reports of a request does not agree with itself. Numbers only: nothing here is content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

_PARTS = (
    ("input_tokens", ("cache_read_tokens", "cache_write_tokens")),
    ("output_tokens", ("output_reasoning_tokens",)),
    ("cache_write_tokens", ("cache_write_1h_tokens",)),
    ("input_tokens", ("input_audio_tokens", "input_image_tokens")),
    ("output_tokens", ("output_audio_tokens", "output_image_tokens")),
)
_WHOLES = frozenset({"input_tokens", "output_tokens"})

_ZERO = Decimal(0)


def contradictions(usage: Mapping[str, Decimal], total: int | None) -> Iterator[str]:
    """Each contradiction, in words."""
    for kind, count in usage.items():
        if count < 0:
            yield f"{kind} is {count}"
    if not usage.keys() <= _WHOLES:  # of most requests nothing else is reported
        for whole, names in _PARTS:
            of_parts, of_whole = sum(usage.get(name, _ZERO) for name in names), usage.get(whole, _ZERO)
            if of_parts > of_whole:
                yield f"{' and '.join(names)} are {of_parts}, more than {whole}, which is {of_whole}"
    tokens = usage.get("input_tokens", _ZERO) + usage.get("output_tokens", _ZERO)
    if total is not None and total != tokens:
        yield f"the total is given as {total} tokens, and input and output are {tokens}"
