"""The tasks that runs can be started of."""

from __future__ import annotations

from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.services import Services
from holdfast.service.views import TaskView


def list_tasks(services: Services, who: Who) -> list[TaskView]:
    """The registered tasks by name."""
    who.reach(Scope.TASKS_READ)
    if services.app is None:
        return []
    return [
        TaskView(name=name, version=task.version, input_schema=task.input_adapter.json_schema())
        for name, task in sorted(services.app.tasks.items())
    ]
