"""What the query `rows` of calls.sql should give."""

from typing import Any
from uuid import UUID

from simulation.model import Model
from simulation.rows import Run


def rows(model: Model) -> list[Any]:
    """The model's rows, table by table, as the query gives them; None where a table is empty."""
    runs = sorted(model.runs.values(), key=lambda run: (run.tenant, run.id))
    tables: list[Any] = [
        {str(run.id): _run(run) for run in runs},
        [str(run.id) for run in sorted(runs, key=lambda run: (run.queued_at, run.id))],
        [[str(run.id), *event] for run in runs for event in run.events],
        [[str(run.id), at, *signal] for run in runs for at, signal in enumerate(run.signals, 1)],
        [
            [str(task.id), str(task.run), task.kind, task.state, task.digest, task.by]
            for task in sorted(model.tasks.values(), key=lambda task: task.id)
        ],
        [[str(run.id), digest] for run in runs for digest in sorted(run.blobs)],
        [
            [str(halt.id), str(halt.tenant), halt.scope, halt.key, halt.authority, halt.lifted_by]
            for halt in sorted(model.halts.values(), key=lambda halt: halt.id)
        ],
        [[str(tenant), str(at), _text(last)] for (tenant, at), last in sorted(model.sessions.items(), key=_key)],
        [[str(tenant), key, str(run)] for (tenant, key), (_, run) in sorted(model.keys.items(), key=_key)],
        [[str(worker.id), worker.lease_until] for worker in sorted(model.workers.values(), key=lambda w: w.id)],
    ]
    return [table or None for table in tables]


def _run(run: Run) -> list[Any]:
    return [
        *(run.state, run.waiting_on, run.wake_at, _text(run.worker), run.epoch, run.seq, run.head.hex()),
        *(run.inbox, run.folded, run.cancelling, run.claims, run.rewound, run.unserved, run.stale, list(run.counts)),
        *(run.started, run.ended, run.priority, run.task, run.version, _text(run.session)),
    ]


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _key(item: tuple[Any, Any]) -> Any:
    return item[0]
