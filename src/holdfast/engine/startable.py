"""What can be known of an application before it serves anything: that no run of it would fail for want of a model, and
that somebody has said what becomes of each tool.

Asked when a process starts and not when a task is registered: an agent may be given its model later, and a test may
override it. No model is made here, since to make one from its name takes the provider's credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_ai.agent import Agent, WrapperAgent

from holdfast.domain.errors import ModelMissing, ToolsUndeclared
from holdfast.engine.inspect import undeclared_tools
from holdfast.observe.logs import logger
from holdfast.observe.names import LogEvent

if TYPE_CHECKING:
    from pydantic_ai.agent import AbstractAgent

    from holdfast.app import App


def check_models(app: App) -> None:
    """Refuse an application that has an agent without a model.

    Raises:
        ModelMissing: it has.
    """
    for task in app.tasks.values():
        if not _has_model(task.agent):
            raise ModelMissing(
                f"Task '{task.name}': its agent has no model, so that every run of it would fail. Give it one: "
                "Agent('provider:model', ...)."
            )
        for position, agent in enumerate(task.agents):
            # Its model is replaced by one that journals the same: it has to be its own.
            if agent.model is None:
                name = agent.name or f"agent{position}"
                raise ModelMissing(
                    f"Task '{task.name}': sub-agent '{name}' has no model of its own. Give it one: "
                    "Agent('provider:model', ...)."
                )


def check_declared(app: App, *, lenient: bool) -> None:
    """Refuse an application without a policy that has a tool of which nothing is said.

    What is in doubt after a crash, and what nobody was asked about, should be somebody's decision. Tools that are known
    only once they run (those of an MCP server) are not looked at.

    Args:
        app: without a policy.
        lenient: tell of them once, and go on.

    Raises:
        ToolsUndeclared: it has, and is not to be lenient.
    """
    found = {
        task.name: names for task in app.tasks.values() if task.undeclared is None and (names := undeclared_tools(task))
    }
    if not found:
        return
    first, names = next(iter(found.items()))
    listed = "; ".join(f"task '{task}': {', '.join(tools)}" for task, tools in found.items())
    says = (
        f"Tools that declare no recovery class, and no policy decides about them: {listed}. Put @effect.pure, "
        f"@effect.idempotent or @effect.once on each, or effects={{'{names[0]}': 'once'}} in app.task('{first}', ...) "
        "for those of a library; or undeclared='ask' there, to have people asked about each call; or give the app a "
        "policy: `holdfast policy init` writes one."
    )
    if not lenient:
        raise ToolsUndeclared(says)
    logger("worker", app=app.name).warning(LogEvent.TOOLS_UNDECLARED, what=says)


def _has_model(agent: AbstractAgent[Any, Any]) -> bool:
    """Whether a run would have a model: the agent's own, an override's, or one of a capability. Yes, where in doubt."""
    if agent.model is not None:
        return True
    if isinstance(agent, WrapperAgent):
        return _has_model(agent.wrapped)
    if not isinstance(agent, Agent):
        return True
    inside: Any = agent
    # Overrides are no part of the public interface: these two are what the framework asks when a run begins.
    return inside._has_model(None) or inside._effective_root_capability().get_model() is not None  # noqa: SLF001
