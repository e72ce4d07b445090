"""Which model a request goes to: the agent's own, or, as a budget fills up, one that its task lets answer instead."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic_ai.models import Model, infer_model

from holdfast.domain.economy import cheaper_at
from holdfast.domain.errors import OperatorError
from holdfast.engine.bounding import asked
from holdfast.store.pressure import budget_pressure

if TYPE_CHECKING:
    from holdfast.engine.recorder import Recorder


class Choice(NamedTuple):
    """The model of a request."""

    model: Model[Any]
    instead_of: str = ""
    """The agent's own, where another is asked."""
    why: str = ""


async def chosen(recorder: Recorder, model: Model[Any]) -> Choice:
    """The model that the next request goes to.

    Raises:
        Interrupt: the database is away.
    """
    choices, claimed = recorder.task.economy, recorder.claimed
    if not choices or not recorder.budgeting.is_wanted:
        return Choice(model)
    models = [f"{one.system}:{one.model_name}" for one in asked(model)]
    try:
        found = await budget_pressure(recorder.gear.db, claimed.tenant, claimed.run, recorder.replay.feature, models)
    except OperatorError as error:
        raise recorder.stopped_by(error) from error
    cheaper = None if found is None else cheaper_at(choices, found.percent)
    if cheaper is None or found is None:
        return Choice(model)
    other = _inferred(cheaper.model) if isinstance(cheaper.model, str) else cast("Model[Any]", cheaper.model)
    if other.model_name == model.model_name:
        return Choice(model)
    return Choice(other, model.model_name, f"budget {found.budget} is at {found.percent} %")


@cache
def _inferred(name: str) -> Model[Any]:
    return infer_model(name)
