"""The tasks that runs can be started of."""

from __future__ import annotations

from holdfast.service.services import Services, Who
from holdfast.service.views import TaskView


def list_tasks(services: Services, who: Who) -> list[TaskView]:  # noqa: ARG001 - every use case is told who asks
    """The registered tasks by name."""
    if services.app is None:
        return []
    return [
        TaskView(name=name, version=task.version, input_schema=task.input_adapter.json_schema())
        for name, task in sorted(services.app.tasks.items())
    ]
