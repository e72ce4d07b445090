"""In what two sets of arguments differ, place by place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from holdfast.service.approval_shapes import ChangeView
from holdfast.service.base_views import ContentView

_NOTHING: Any = object()


def changes(before: ContentView | None, after: ContentView | None) -> list[ChangeView]:
    """The places in which JSON content differs; none where one of the two cannot be shown."""
    if before is None or after is None or not (_shown(before) and _shown(after)):
        return []
    return list(_changes("", before.value, after.value))


def _shown(view: ContentView) -> bool:
    return not (view.erased or view.missing or view.truncated)


def _changes(place: str, before: Any, after: Any) -> Iterator[ChangeView]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _by_key(place, cast("dict[str, Any]", before), cast("dict[str, Any]", after))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _by_key(place, _numbered(cast("list[Any]", before)), _numbered(cast("list[Any]", after)))
    # True is 1 to Python, and 1 is 1.0: to a tool they are not.
    elif _differ(before, after):
        yield ChangeView(
            place=place,
            before=None if before is _NOTHING else before,
            after=None if after is _NOTHING else after,
            added=before is _NOTHING,
            removed=after is _NOTHING,
        )


def _differ(before: Any, after: Any) -> bool:
    return type(before) is not type(after) or before != after


def _by_key(place: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[ChangeView]:
    for key in dict.fromkeys([*before, *after]):
        yield from _changes(f"{place}.{key}" if place else key, before.get(key, _NOTHING), after.get(key, _NOTHING))


def _numbered(items: list[Any]) -> dict[str, Any]:
    return {str(nth): item for nth, item in enumerate(items)}
