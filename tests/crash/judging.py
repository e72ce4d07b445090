"""What is checked of every run, whatever was done to it."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

import orjson
from crash_scene import Run, Scene

from holdfast.domain import events as ev
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.domain.stored import load
from holdfast.store.hashing import StoredEvent, verify_chain

ONCE = frozenset({"pay", "wire", "slow_pay"})
NEVER_TWICE = ONCE | {"send"}
"""`send` is asked for by its probe before it is sent again: where its worker is dead, it arrives once."""
FINAL_TYPES = {"run_succeeded", "run_failed", "run_cancelled"}


@dataclass
class Findings:
    """What was found, summed over runs. All but `runs` and `in_doubt` are to be zero or empty."""

    runs: int = 0
    lost: int = 0
    """Events that were read before a kill and are not in the journal as they were."""
    repeated: int = 0
    """Finished steps that were done again."""
    duplicated: int = 0
    """Effects that the outside world saw twice as different ones, or twice at all where that is forbidden."""
    in_doubt: int = 0
    """Effects that a person had to look after."""
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        self.runs += other.runs
        self.lost += other.lost
        self.repeated += other.repeated
        self.duplicated += other.duplicated
        self.in_doubt += other.in_doubt
        self.wrong += other.wrong

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.repeated or self.duplicated or self.wrong)


@dataclass(frozen=True)
class Undisturbed:
    """A scenario as it goes when nobody disturbs it."""

    output: Any
    usage: dict[str, Any]
    effects: Counter[tuple[str, str]]
    requests: dict[tuple[str, int], int]
    points: Counter[str]


def effects_of(scene: Scene, run: UUID) -> Counter[tuple[str, str]]:
    """The effects that the outside world tells apart, by tool and arguments."""
    distinct = {(line["key"], line["tool"], json.dumps(line["args"])) for line in scene.ledger.of(run)}
    return Counter((tool, args) for _, tool, args in distinct)


def journal_of(scene: Scene, run: UUID) -> list[StoredEvent]:
    rows = scene.connection.execute(
        "select seq, type, at, convert_to(body, 'UTF8'), hash from holdfast.events where run = %s order by seq", [run]
    )
    return [StoredEvent(DEFAULT_TENANT, run, *row) for row in rows]


def loaded(journal: list[StoredEvent]) -> list[ev.AnyEvent]:
    return [load(stored.type, stored.body) for stored in journal]


async def outcome_of(scene: Scene, run: Run) -> tuple[Any, dict[str, Any]]:
    """Output and usage of a run that succeeded."""
    last = loaded(journal_of(scene, run.id))[-1]
    assert isinstance(last, ev.RunSucceeded), f"{last}\n{await failure_of(scene, run)}"
    services = scene.services
    key = await services.subject_key(DEFAULT_TENANT, scene.row(run)["subject"])
    content = await services.reader.content_of(DEFAULT_TENANT, run.id, [last.output], key)
    return orjson.loads(content[last.output]), asdict(last.usage)


async def failure_of(scene: Scene, run: Run) -> str:
    last = loaded(journal_of(scene, run.id))[-1]
    if not isinstance(last, ev.RunFailed):
        return ""
    key = await scene.services.subject_key(DEFAULT_TENANT, scene.row(run)["subject"])
    content = await scene.services.reader.content_of(DEFAULT_TENANT, run.id, [last.message], key)
    return f"{last.error}: {content[last.message].decode()} at {last.place}"


async def judge(
    scene: Scene, run: Run, undisturbed: Undisturbed, what: str = "", *, never_twice: frozenset[str] = NEVER_TWICE
) -> Findings:
    """Hold a run that has ended against the same scenario undisturbed.

    `never_twice` are the tools whose effect may arrive once only, even with the same key.
    """
    found = Findings(runs=1)
    row, journal = scene.row(run), journal_of(scene, run.id)
    events = loaded(journal)
    faults: list[str] = []
    if row["state"] == "succeeded":
        faults += broken(row, journal)
        faults += await other_than(scene, run, undisturbed)
        found.lost = lost(scene, run, journal)
        again = [
            *repeated_in(events),
            *entered_again(scene, run, events),
            *asked_again(scene, run, events),
            *questioned_again(scene, run, events),
        ]
        twice = duplicated(scene, run, undisturbed, never_twice)
        found.repeated, found.duplicated = len(again), len(twice)
        faults += again + twice
    else:
        faults.append(f"it is {row['state']}, waiting on {row['waiting_on']}: {await failure_of(scene, run)}")
    found.in_doubt = sum(isinstance(event, ev.EffectInDoubt) for event in events)
    found.wrong = [f"{run.scenario} {what} ({run.id}): {fault}" for fault in faults]
    return found


def lost(scene: Scene, run: Run, journal: list[StoredEvent]) -> int:
    """Events that somebody read and that are not there any more as they were."""
    seen = scene.onlooker.seen[run.id]
    changed = sum(before != after.hash for before, after in zip(seen, journal, strict=False))
    return changed + max(0, len(seen) - len(journal))


def broken(row: dict[str, Any], journal: list[StoredEvent]) -> list[str]:
    """What is wrong with the journal as a journal."""
    found: list[str] = []
    if at := verify_chain(DEFAULT_TENANT, row["id"], journal):
        found.append(f"the chain breaks: {at}")
    if (journal[-1].seq, journal[-1].hash) != (row["seq"], row["head"]):
        found.append("the run's head is not its last event")
    if [stored.type for stored in journal if stored.type in FINAL_TYPES] != [journal[-1].type]:
        found.append("not exactly one final event, at the end")
    return found


async def other_than(scene: Scene, run: Run, undisturbed: Undisturbed) -> list[str]:
    """What came out otherwise than undisturbed."""
    found: list[str] = []
    output, usage = await outcome_of(scene, run)
    if output != undisturbed.output:
        found.append(f"the output is {output!r}, undisturbed {undisturbed.output!r}")
    if usage != undisturbed.usage:
        found.append(f"the usage is {usage}, undisturbed {undisturbed.usage}")
    if missing := undisturbed.effects - effects_of(scene, run.id):
        found.append(f"these effects are missing: {dict(missing)}")
    return found


def step_of(event: ev.AnyEvent) -> Any:
    """The step that an event begins or ends."""
    match event:
        case ev.ModelRequested() | ev.ModelResponded():
            return event.scope, event.step
        case ev.ToolStarted() | ev.ToolFinished():
            return event.scope, event.step, event.call, event.approved
        case _:
            return None


def repeated_in(events: list[ev.AnyEvent]) -> list[str]:
    """Steps that the journal says were begun or ended once more after they had finished."""
    finished: set[Any] = set()
    found: list[str] = []
    for event in events:
        step = step_of(event)
        if step is not None and step in finished:
            found.append(f"{type(event).__name__} after {step} had finished")
        if isinstance(event, ev.ModelResponded | ev.ToolFinished):
            finished.add(step)
    return found


def entered_again(scene: Scene, run: Run, events: list[ev.AnyEvent]) -> list[str]:
    """Effects that arrived more often than they were announced."""
    announced = Counter(event.key for event in events if isinstance(event, ev.ToolStarted))
    arrived = Counter(line["key"] for line in scene.ledger.of(run.id) if not line["tool"].endswith("-ended"))
    return [
        f"{key} arrived {times} times, announced {announced[key]} times"
        for key, times in arrived.items()
        if times > announced[key]
    ]


def asked_again(scene: Scene, run: Run, events: list[ev.AnyEvent]) -> list[str]:
    """Model requests that arrived more often than they were announced."""
    announced = Counter((event.scope, event.step) for event in events if isinstance(event, ev.ModelRequested))
    asked = scene.model.requests_of(run.tag)
    found = [
        f"turn {turn} was asked for {times} times, announced {announced['', turn]} times"
        for (kind, turn), times in asked.items()
        if kind == run.scenario and times > announced["", turn]
    ]
    if sum(asked.values()) > announced.total():
        found.append(f"{sum(asked.values())} requests, {announced.total()} announced")
    return found


def questioned_again(scene: Scene, run: Run, events: list[ev.AnyEvent]) -> list[str]:
    """Questions that were put before people, or answered, otherwise than once each."""
    asked = Counter((event.scope, event.step, event.call) for event in events if isinstance(event, ev.QuestionAsked))
    answered = Counter(event.call for event in events if isinstance(event, ev.QuestionAnswered))
    found = [f"{call} was asked {times} times" for call, times in asked.items() if times > 1]
    if answered != Counter(call for _, _, call in asked):
        found.append(f"asked {dict(asked)}, answered {dict(answered)}")
    tasks = scene.connection.execute(
        "select count(*) from holdfast.approvals where run = %s and kind = 'question'", [run.id]
    )
    if tasks != [(len(asked),)]:
        found.append(f"{tasks} tasks for {len(asked)} questions")
    return found


def duplicated(scene: Scene, run: Run, undisturbed: Undisturbed, never_twice: frozenset[str]) -> list[str]:
    """Effects that happened more often than they should."""
    more = effects_of(scene, run.id) - undisturbed.effects
    found = [f"another effect: {effect}" for effect in more.elements()]
    arrivals = Counter((line["key"], line["tool"]) for line in scene.ledger.of(run.id))
    for (key, tool), times in arrivals.items():
        if times > 1 and tool in never_twice:
            found.append(f"{key} ({tool}) arrived {times} times")
    return found


async def undisturbed(scene: Scene, scenario: str) -> Undisturbed:
    """Run a scenario in peace, and remember how it goes and which points it passes."""
    passed = scene.folder / f"passed-{scenario}-{scene.services.new_id()}"
    worker = await scene.worker(scenario, passed=passed)
    run = await scene.start(scenario)
    await scene.until_final([run])
    output, usage = await outcome_of(scene, run)
    await worker.kill()
    return Undisturbed(
        output,
        usage,
        effects_of(scene, run.id),
        scene.model.requests_of(run.tag),
        Counter(passed.read_text().split()),
    )
