"""A run's content, opened for a reader: capped, and saying so where it was erased or its session deleted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import orjson

from holdfast.service.base_views import ContentView
from holdfast.service.services import Services
from holdfast.store.vault import Erased, SubjectKey

if TYPE_CHECKING:
    from holdfast.store.runs import RunRow

SHOWN_BYTES = 16 * 1024
"""Content larger than this is shown by its beginning."""

Plain = Mapping[str, bytes | None]
"""Content by reference: None where it may not be shown; what is not stored is absent."""

ERASED = ContentView(erased=True)
MISSING = ContentView(missing=True)


class Contents:
    """Opens the content of one run."""

    def __init__(self, services: Services, run: RunRow, *, withheld: bool | None = None) -> None:
        """The content of `run`. By default it is `withheld` where the run's session was deleted."""
        self._services = services
        self._tenant = run.tenant
        self._run = run.id
        self._subject = run.subject
        self._withheld = run.session_deleted if withheld is None else withheld

    async def key(self) -> SubjectKey | None:
        """The key of the run's subject; None once it was destroyed, or where its content is withheld."""
        if self._withheld:
            return None
        try:
            return await self._services.subject_key(self._tenant, self._subject)
        except Erased:
            return None

    async def plain(self, refs: Iterable[str]) -> Plain:
        """The plain bytes by reference: None for what may not be shown. What is not stored is absent."""
        wanted = set(refs)
        if not wanted:
            return {}
        key = await self.key()
        if key is None:
            return dict.fromkeys(wanted)
        stored = await self._services.blobs(self._tenant, self._run, wanted)
        return {ref: key.open(bytes.fromhex(ref), body) for ref, body in stored.items()}

    async def shown(self, ref: str | None, *, whole: bool = False) -> ContentView | None:
        """What can be shown of one piece of content: all of it, if it is to be `whole`."""
        return None if ref is None else shown(ref, await self.plain([ref]), whole=whole)


def shown(ref: str, plain: Plain, *, whole: bool = False) -> ContentView:
    """What can be shown of the content that `ref` names."""
    return show(plain[ref], whole=whole) if ref in plain else MISSING


def shown_field(field: str, ref: str, plain: Plain) -> ContentView:
    """What can be shown of one field of an event. A result is shown as the tool returned it."""
    view = shown(ref, plain)
    return _bare(view) if field == "result" else view


def _bare(view: ContentView) -> ContentView:
    # The engine stores a result with how it was returned: {"kind": "value" | "return", "value": ...}.
    if view.text is not None:
        start = view.text.find(_VALUE) if view.text.startswith('{"kind":') else -1
        return view if start < 0 else view.model_copy(update={"text": view.text[start + len(_VALUE) :]})
    value: Any = view.value
    if isinstance(value, dict) and cast("dict[str, Any]", value).keys() == {"kind", "value"}:
        return view.model_copy(update={"value": value["value"]})
    return view


_VALUE = '"value":'


def show(plain: bytes | None, *, whole: bool = False) -> ContentView:
    """What can be shown of content; None stands for erased."""
    if plain is None:
        return ERASED
    if len(plain) > SHOWN_BYTES and not whole:
        beginning = plain[:SHOWN_BYTES].decode("utf-8", "ignore")
        return ContentView(truncated=True, text=beginning, size_bytes=len(plain))
    return ContentView(value=parse(plain))


def parse(plain: bytes) -> Any:
    """Stored JSON as Python shapes. Half a surrogate pair, which JSON text cannot carry, becomes U+FFFD."""
    try:
        return orjson.loads(plain)
    except orjson.JSONDecodeError:
        return _without_surrogates(json.loads(plain))


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            pairs = cast("dict[Any, Any]", value)
            return {_without_surrogates(key): _without_surrogates(item) for key, item in pairs.items()}
        case list():
            items = cast("list[Any]", value)
            return [_without_surrogates(item) for item in items]
        case _:
            return value
