"""`Task`: a Pydantic AI agent, unchanged, plus what a run of it needs to know.

The type of its input, the factory of its dependencies, the recovery classes of its tools, its version, its boundary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from holdfast.domain.approving import Approving, EscalationPath
from holdfast.domain.economy import Cheaper
from holdfast.domain.errors import InvalidInput
from holdfast.domain.limits import Ceilings, Limits, OnLimit
from holdfast.domain.loops import Loops
from holdfast.domain.principal import Principal
from holdfast.domain.rights import Role
from holdfast.effects.declare import Declaration
from holdfast.guards.policy import Governed
from holdfast.guards.written import Countable, Written

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from pydantic_ai.agent import AbstractAgent
    from pydantic_ai.usage import UsageLimits

    from holdfast.store.connection import Connection

Sessions: TypeAlias = Literal["own", "shared"]
"""Whose conversations the runs of a task may go on with: one's own, or also others'."""

Undeclared: TypeAlias = Literal["run", "ask"]
"""What becomes of a tool that declares no recovery class, where no policy decides."""

Env: TypeAlias = Literal["dev", "staging", "prod"]
"""Where an app runs, for its policy."""

Success: TypeAlias = Callable[[Any], "str | bool | Awaitable[str | bool | None] | None"]
"""Says of an output whether it is what the task is for: None or True; or why it is not."""


class Acting(Protocol):
    """Whoever knows whom a run is for."""

    @property
    def principal(self) -> Principal:
        """As they stand now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScope:
    """What a dependency factory is told about the run it builds for. Keep it, to ask who is behind a tool call."""

    tenant: UUID
    run: UUID
    task: str
    subject: str
    session: UUID | None = None
    acting: Acting
    connection: Callable[[], AbstractAsyncContextManager[Connection]] = field(repr=False)
    """`async with scope.connection() as connection:` is one transaction on the installation's database, in the run's
    tenant, for tables of one's own that `holdfast_tools` was granted. It sees nothing of Holdfast's. It is committed at
    the end of the block, and by itself: not with the outcome of the tool."""

    @property
    def principal(self) -> Principal:
        """Whom the run is for, with the roles they have now: each tool call sees those it was announced with."""
        return self.acting.principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An agent and its boundary. Made by `App.task`."""

    name: str
    agent: AbstractAgent[Any, Any]
    deps: Any = None
    input: Any = str
    prompt: Callable[[Any], Any] | None = None
    version: str = "1"
    effects: Mapping[str, Declaration] = field(default_factory=dict[str, Declaration])
    governed: Mapping[str, Governed] = field(default_factory=dict[str, Governed])
    agents: Sequence[AbstractAgent[Any, Any]] = ()
    usage_limits: UsageLimits | None = None
    sessions: Sessions = "own"
    stream: bool = True
    model_timeout_s: float = 600.0
    tool_timeout_s: float = 300.0
    slots: int | None = None
    costs: Mapping[str, int] = field(default_factory=dict[str, int])
    """What each call of a tool costs, by its name, in millionths of a dollar."""
    approving: Approving = field(default_factory=Approving)
    undeclared: Undeclared | None = None
    roles: frozenset[Role] = frozenset()
    """Whom it is for: whoever has one of these. Empty: whoever may start runs."""
    claims_max_age_s: float | None = 86_400.0
    """How old what an identity provider said of its principal may be at an effect. None: as old as it likes."""
    limits: Limits | None = None
    on_limit: OnLimit = "park"
    loops: Loops | None = field(default_factory=Loops)
    """From when on its runs are in a loop; tools that say that they may be repeated are exempt. None: never."""
    success: Success | None = None
    terminal: tuple[type[Exception], ...] = ()
    escalation: EscalationPath | None = None
    economy: Sequence[Cheaper] = ()
    ceilings: Ceilings = field(default_factory=dict[str, int])
    """Its limits, by the names of what is counted."""
    written: Mapping[str, Written] = field(default_factory=dict[str, Written])
    """What its tools write to, by their names."""
    countable: Countable | None = None
    """What limits can be given for; None where not all of its tools are known before a run."""
    input_adapter: TypeAdapter[Any]

    @property
    def max_output_tokens(self) -> int:
        """What an answer may have where tokens are limited and nobody said less."""
        return (self.limits or Limits()).max_output_tokens

    def read_input(self, raw: Any) -> Any:
        """`raw` (JSON shapes) as the task's input type.

        Raises:
            InvalidInput: it does not fit; the message names each place.
        """
        try:
            return self.input_adapter.validate_python(raw)
        except ValidationError as error:
            raise InvalidInput(f"The input does not fit task '{self.name}': {_faults(error, 'input')}.") from error

    @property
    def server_tools(self) -> int | None:
        """How often a request may use tools of the provider's, where money is limited."""
        return None if self.limits is None else self.limits.server_tools

    @property
    def output_schema(self) -> dict[str, Any] | None:
        """The JSON schema of its output; None where that cannot be said beforehand."""
        from holdfast.engine.inspect import output_adapter

        adapter = output_adapter(self.agent.output_type)
        return None if adapter is None else adapter.json_schema(mode="serialization")

    def read_output(self, raw: Any) -> None:
        """Check that `raw` (JSON shapes) can be an output of this task.

        Raises:
            InvalidInput: it does not fit; the message names each place.
        """
        from holdfast.engine.inspect import output_adapter

        adapter = output_adapter(self.agent.output_type)
        if adapter is None:
            return
        try:
            adapter.validate_python(raw)
        except ValidationError as error:
            raise InvalidInput(f"The output does not fit task '{self.name}': {_faults(error, 'output')}.") from error

    def user_prompt(self, value: Any) -> Any:
        """The user prompt for a validated input: by `prompt` if given, a string as it is, else JSON."""
        if self.prompt is not None:
            return self.prompt(value)
        if isinstance(value, str):
            return value
        return self.input_adapter.dump_json(value).decode()


def _faults(error: ValidationError, whole: str) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or whole}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    )
