"""What users write: an `App` and its tasks."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import TypeAdapter

from holdfast.domain.approving import Approving, EscalationPath
from holdfast.domain.economy import Cheaper
from holdfast.domain.errors import UnknownTask, UserError
from holdfast.domain.limits import Limits, OnLimit
from holdfast.domain.loops import Loops
from holdfast.domain.recovery import Recovery
from holdfast.domain.rights import Role
from holdfast.effects.charging import amount
from holdfast.effects.declare import Declaration
from holdfast.guards.policy import Governed, Policy, PolicyFile, Vocabulary, vocabulary_of
from holdfast.guards.repeating import loops_of
from holdfast.guards.tally import Tally
from holdfast.guards.written import check_limits, countable, written_by
from holdfast.task import Env, Sessions, Success, Task, Undeclared

if TYPE_CHECKING:
    from pydantic_ai.agent import AbstractAgent
    from pydantic_ai.usage import UsageLimits


_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
_LOOPS = Loops()


class App:
    """The tasks of one installation, under one name.

    Args:
        name: lower-case name of the application, shown in logs and traces.
        policy: the file that says which tool calls may be made, as `policy.cedar`: absolute, or beside the file that
            makes the app. `holdfast policy init` writes one.
        env: `dev`, `staging` or `prod`, for policies that ask. Default: what the process that runs it says.
        tallies: how amounts add up that `@governed(tallies=...)` names. Default: by principal and day.

    Raises:
        UserError: the name is malformed, there is no such environment, or two tallies have one name.
    """

    def __init__(
        self,
        name: str,
        *,
        policy: str | Path | None = None,
        env: Env | None = None,
        tallies: Iterable[Tally] = (),
    ) -> None:
        _check_name("app", name)
        if env is not None and env not in get_args(Env):
            raise UserError(f"App '{name}': env is {', '.join(map(repr, get_args(Env)))}, not {env!r}.")
        self.name = name
        self.env: Env | None = env
        self.tallies = _by_name(name, tallies)
        """How amounts add up, by name."""
        caller: str | None = sys._getframe(1).f_globals.get("__file__")  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self.home = Path.cwd() if caller is None else Path(caller).absolute().parent
        """The directory of the file that makes the app."""
        self.policy_path = None if policy is None else self.home / policy
        """Where its policy is; None if it has none."""
        self._tasks: dict[str, Task] = {}

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The registered tasks by name."""
        return self._tasks

    def vocabulary(self) -> Vocabulary:
        """All that a policy of this app may speak of.

        Raises:
            UserError: two tasks have different tools of one name, or an argument cannot be mapped.
        """
        from holdfast.engine.inspect import shapes_of

        shapes = (shape for task in self._tasks.values() for shape in shapes_of(task))
        return vocabulary_of(shapes, self._tasks, self.tallies)

    def policy_file(self) -> PolicyFile | None:
        """The app's policy, with its file to look at again; None if it has none.

        Raises:
            PolicyError: the file cannot be read, or is not in order.
            UserError: as `vocabulary`.
        """
        return None if self.policy_path is None else PolicyFile(self.policy_path, self.vocabulary())

    def load_policy(self) -> Policy | None:
        """The app's policy as its file has it now; None if it has none.

        Raises:
            PolicyError: the file cannot be read, or is not in order.
            UserError: as `vocabulary`.
        """
        found = self.policy_file()
        return None if found is None else found.policy

    def __getitem__(self, name: str) -> Task:
        try:
            return self._tasks[name]
        except KeyError:
            known = ", ".join(sorted(self._tasks)) or "none"
            raise UnknownTask(f"There is no task '{name}' in app '{self.name}'. Registered: {known}.") from None

    def task(
        self,
        name: str,
        *,
        agent: AbstractAgent[Any, Any],
        deps: Any = None,
        input: Any = str,  # noqa: A002 - the word users would choose
        prompt: Callable[[Any], Any] | None = None,
        version: str = "1",
        effects: Mapping[str, Recovery | str | Declaration] | None = None,
        governed: Mapping[str, Governed] | None = None,
        costs: Mapping[str, str | Decimal | int] | None = None,
        agents: Sequence[AbstractAgent[Any, Any]] = (),
        usage_limits: UsageLimits | None = None,
        sessions: Sessions = "own",
        stream: bool = True,
        model_timeout_s: float = 600.0,
        tool_timeout_s: float = 300.0,
        slots: int | None = None,
        roles: Iterable[Role | str] = (),
        approving: Approving | None = None,
        undeclared: Undeclared | None = None,
        claims_max_age_s: float | None = 86_400.0,
        limits: Limits | None = None,
        on_limit: OnLimit = "park",
        loops: Loops | None = _LOOPS,
        success: Success | None = None,
        terminal: type[Exception] | Iterable[type[Exception]] = (),
        escalation: EscalationPath | None = None,
        economy: Iterable[Cheaper] = (),
    ) -> Task:
        """Register a task.

        Args:
            name: lower-case name, the one callers start runs by.
            agent: any Pydantic AI agent; it is not changed.
            deps: `deps(scope)` builds the agent's dependencies for one run on any machine: a function, an async
                function, or a function returning an (async) context manager. A value that is not callable is
                given to every run as it is.
            input: the type of a run's input; anything Pydantic can validate.
            prompt: makes the user prompt from a validated input. Default: a string as it is, anything else as JSON.
            version: change it when the agent's structure changes so that a run under way could not go on; such runs
                wait for a worker that serves their version.
            effects: recovery classes by tool name, for tools that no decorator can reach (MCP servers, libraries).
            governed: what policies are told of tools by name, each made by `holdfast.governed(...)`, for tools that no
                decorator can reach.
            costs: what each call of a tool costs, in USD as "0.02", by tool name, where no decorator can reach it.
            agents: sub-agents whose inner steps are journaled when a `delegate` tool runs them.
            usage_limits: Pydantic AI's limits for each run.
            sessions: "shared" lets those who may read and write every session of their tenant go on with a session
                of another principal's. Default: nothing of a session enters a run of somebody else.
            stream: whether model responses are streamed to watching clients as they are generated.
            model_timeout_s: seconds after which a model request is given up.
            tool_timeout_s: seconds after which a tool call is given up.
            slots: the most runs of this task that one worker executes at once. Default: the worker's own bound.
            roles: whom it is for: principals that have one of these roles. A run whose principal loses them stops at
                its next effect. Default: whoever may start runs.
            approving: how questions to people end when nobody answers. Default: they wait for good.
            undeclared: what becomes of tools that declare no recovery class, where no policy decides: "ask" puts each
                of their calls before the person behind the run, "run" lets them pass. Default: neither is said, and
                only `holdfast dev` starts a worker.
            claims_max_age_s: how long ago, in seconds, an identity provider may have said who a run's principal is, at
                each effect of it; then the run waits until they sign in again. Default: a day. None: for ever.
                Principals that came by no provider have nothing that grows old.
            limits: the most that a run may do. Pydantic AI's own limits are then those of `usage_limits` alone.
            on_limit: "park" has a run that reaches a limit wait until somebody raises it, "fail" has it fail. So too
                one that goes on with a loop.
            loops: how often a run may repeat itself before its model is told of it, and from when on it stops. None:
                for ever.
            success: `success(output)` says whether an output is what the task is for: None or True, or why it is not. A
                run whose output is none does not succeed. May be async.
            terminal: errors after which nothing more is to be tried: the run fails, whatever `escalation` says.
            escalation: to whom a run goes that would fail, reaches a limit, is in a loop or has an effect in doubt.
                Default: it fails; an administrator may raise the limit, or let the loop go on; whoever may decide says
                what became of the effect.
            economy: models that may answer instead of the agents' own as the fullest budget of a run fills up. The one
                that takes over last is the floor: nothing below it is asked.

        Raises:
            UserError: the name is taken or malformed, a type cannot be described, a tool's result not be stored, or,
                where the app has a policy, its arguments not be shown to one.
        """
        from pydantic_ai.agent import AbstractAgent

        from holdfast.engine.inspect import check_tools, names_known, output_functions_of, shapes_of

        _check_name("task", name)
        for given in (agent, *agents):
            if not isinstance(given, AbstractAgent):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UserError(
                    f"Task '{name}': {given!r} is not an agent of Pydantic AI's. Make it one, as in "
                    "Agent('provider:model', ...)."
                )
        _check_choices(name, sessions, undeclared, claims_max_age_s, on_limit)
        if name in self._tasks:
            raise UserError(f"Task '{name}' is registered twice in app '{self.name}'. Give one of them another name.")
        try:
            adapter = TypeAdapter(input)
        except Exception as error:
            raise UserError(
                f"Task '{name}': its input type {input!r} cannot be validated by Pydantic: {error}"
            ) from error
        task = Task(
            name=name,
            agent=agent,
            deps=deps,
            input=input,
            prompt=prompt,
            version=version,
            effects={tool: _declaration(name, tool, given) for tool, given in (effects or {}).items()},
            governed=dict(governed or {}),
            costs={tool: amount(usd, f"Task '{name}': costs['{tool}']") for tool, usd in (costs or {}).items()},
            agents=tuple(agents),
            usage_limits=usage_limits,
            sessions=sessions,
            stream=stream,
            model_timeout_s=model_timeout_s,
            tool_timeout_s=tool_timeout_s,
            slots=slots,
            roles=_roles(name, roles),
            approving=approving or Approving(),
            undeclared=undeclared,
            claims_max_age_s=claims_max_age_s,
            limits=limits,
            on_limit=on_limit,
            loops=loops,
            success=success,
            terminal=(terminal,) if isinstance(terminal, type) else tuple(terminal),
            escalation=escalation,
            economy=tuple(economy),
            ceilings={} if limits is None else limits.ceilings(),
            input_adapter=adapter,
        )
        check_tools(task)
        shapes = shapes_of(task)
        known = countable(shapes, output_functions_of(agent)) if names_known(task) else None
        task = replace(task, written=written_by(shapes), countable=known, loops=loops_of(name, loops, shapes, known))
        if known is not None:
            try:
                check_limits(name, task.ceilings, known)
            except ValueError as error:
                raise UserError(str(error)) from None
        if self.policy_path is not None:
            vocabulary_of(shapes)
        self._tasks[name] = task
        return task


def _by_name(app: str, tallies: Iterable[Tally]) -> dict[str, Tally]:
    found = dict[str, Tally]()
    for tally in tallies:
        if tally.name in found:
            raise UserError(f"App '{app}': tally '{tally.name}' is declared twice. Keep one.")
        found[tally.name] = tally
    return found


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot name a {what}: begin with a lower-case letter, go on with lower-case letters, digits, "
            "'_', '-' or '.', 63 characters at most."
        )


def _check_choices(
    name: str, sessions: Sessions, undeclared: Undeclared | None, claims_max_age_s: float | None, on_limit: OnLimit
) -> None:
    if sessions not in get_args(Sessions):
        raise UserError(f"Task '{name}': its sessions are 'own' or 'shared', not {sessions!r}.")
    if undeclared not in (None, *get_args(Undeclared)):
        raise UserError(f"Task '{name}': undeclared is 'run' or 'ask', not {undeclared!r}.")
    if claims_max_age_s is not None and not claims_max_age_s > 0:
        raise UserError(
            f"Task '{name}': claims_max_age_s is {claims_max_age_s}; give seconds above 0, or None for no limit."
        )
    if on_limit not in get_args(OnLimit):
        raise UserError(f"Task '{name}': on_limit is 'park' or 'fail', not {on_limit!r}.")


def _roles(task: str, roles: Iterable[Role | str]) -> frozenset[Role]:
    try:
        return frozenset(map(Role, (roles,) if isinstance(roles, str) else roles))
    except ValueError as error:
        raise UserError(f"Task '{task}': {error}. Roles are: {', '.join(Role)}.") from None


def _declaration(task: str, tool: str, given: Recovery | str | Declaration) -> Declaration:
    if isinstance(given, Declaration):
        return given
    try:
        recovery = Recovery(given)
    except ValueError:
        known = ", ".join(member.value for member in Recovery)
        raise UserError(
            f"Task '{task}': '{given}' is not a recovery class for tool '{tool}'. Known: {known}."
        ) from None
    if recovery is Recovery.RECONCILE:
        raise UserError(
            f"Task '{task}': tool '{tool}' is declared 'reconcile' without a probe. Use @effect.reconcile(probe=...), "
            "or give effects={...: Declaration(Recovery.RECONCILE, probe)}."
        )
    return Declaration(recovery)
