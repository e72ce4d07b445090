"""What goes with a request beside its messages: instructions, tools, settings. Each is content, named once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic_ai.messages import ModelMessage, ModelRequest

from holdfast.engine.codec import Unserialisable, dump_json
from holdfast.engine.inspect import digest_of, schema_digest

if TYPE_CHECKING:
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

    from holdfast.domain.ids import Ref
    from holdfast.engine.recorder import Recorder


class Surface:
    """That of one scope's requests."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._instructed: tuple[str, Ref] | None = None
        self._offered: dict[tuple[Any, ...], tuple[Ref, Any]] = {}

    def instructions(self, messages: Sequence[ModelMessage]) -> Ref | None:
        """What a request says before its messages."""
        last = messages[-1] if messages else None
        if not isinstance(last, ModelRequest) or not last.instructions:
            return None
        if self._instructed is None or self._instructed[0] != last.instructions:
            self._instructed = (last.instructions, self._recorder.seal_text(last.instructions))
        return self._instructed[1]

    def tools(self, parameters: ModelRequestParameters) -> Ref | None:
        """The tools that a request offers."""
        tools = [*parameters.function_tools, *parameters.output_tools]
        if not tools:
            return None
        key = tuple((tool.name, id(tool.parameters_json_schema), tool.description) for tool in tools)
        known = self._offered.get(key)
        if known is None:
            shape = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters_json_schema,
                }
                for tool in tools
            ]
            # The schemas are kept beside the name, so that their identities are not reused.
            known = self._offered[key] = (self._recorder.seal(dump_json(shape)), tools)
        return known[0]

    def settings(self, settings: ModelSettings | None) -> Ref | None:
        """The settings of a request, where they can be written down."""
        if not settings:
            return None
        try:
            return self._recorder.seal(dump_json(dict(settings)))
        except Unserialisable:
            return None


def output_digest(parameters: ModelRequestParameters) -> str:
    """Digest of the shape that the answer must have."""
    if not parameters.output_tools and parameters.output_object is None:
        return parameters.output_mode
    schemas = [schema_digest(tool) for tool in parameters.output_tools]
    if parameters.output_object is not None:
        schemas.append(digest_of(parameters.output_object.json_schema))
    return digest_of(schemas)
