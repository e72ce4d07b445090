"""The tasks that runs can be started of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.services import Services
from holdfast.service.views import PathView, TaskView

if TYPE_CHECKING:
    from holdfast.task import Task


def list_tasks(services: Services, who: Who) -> list[TaskView]:
    """The registered tasks by name, each with its boundary."""
    who.reach(Scope.TASKS_READ)
    if services.app is None:
        return []
    return [task_view(task) for _, task in sorted(services.app.tasks.items())]


def task_view(task: Task) -> TaskView:
    """A task as it is shown."""
    path = task.escalation
    return TaskView(
        name=task.name,
        version=task.version,
        input_schema=task.input_adapter.json_schema(),
        output_schema=task.output_schema,
        roles=sorted(task.roles),
        limits=dict(task.ceilings),
        on_limit=task.on_limit,
        loops={} if task.loops is None else task.loops.thresholds(),
        repeats=[] if task.loops is None else sorted(task.loops.exempt),
        terminal=sorted(one.__qualname__ for one in task.terminal),
        checks_success=task.success is not None,
        escalation=None
        if path is None
        else PathView(
            to=str(path.ask),
            on=sorted(path.on),
            expires_s=path.expires_s,
            then=[(later.after_s, str(later.ask)) for later in path.then],
        ),
    )
