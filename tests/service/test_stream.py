"""The rules of the stream, without I/O: whatever happens and wherever a reader is cut, it ends with the whole."""

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

import pytest

from holdfast.domain import events as ev
from holdfast.domain.errors import InvalidCursor
from holdfast.domain.ids import Ref
from holdfast.service.cursor import StreamCursor
from holdfast.service.stream import Stream, texts_of
from holdfast.service.views import DeltaView, VoidView
from holdfast.store.live import LiveDelta

REF = Ref("00")
KIND = {"text": "text", "thinking": "thinking", "tool_call": "tool-call"}


@dataclass
class Request:
    """A response being generated, as its holder has it."""

    seq: int
    scope: str
    number: int
    attempt: int
    rows: list[LiveDelta] = field(default_factory=list)
    texts: dict[int, tuple[str, str]] = field(default_factory=dict)

    def say(self, part: int, text: str) -> None:
        kind = ("text", "thinking", "tool_call")[part % 3]
        _, before = self.texts.get(part, (kind, ""))
        self.rows.append(LiveDelta(self.seq, self.attempt, part, kind, len(before), text))
        self.texts[part] = (kind, before + text)

    def response(self) -> dict:
        parts = [
            {"part_kind": KIND[kind], ("args" if kind == "tool_call" else "content"): text}
            for part in range(3)
            for kind, text in [self.texts.get(part, (("text", "thinking", "tool_call")[part], ""))]
        ]
        return {"kind": "response", "parts": parts}


class World:
    """A journal, the live table, and what each response said in the end."""

    def __init__(self) -> None:
        self.journal: list[ev.AnyEvent] = []
        self.responses: dict[int, dict] = {}
        self.open: dict[str, Request] = {}
        self.steps: dict[str, int] = defaultdict(int)
        self.answered: dict[tuple[int, int], int] = {}
        self.said: dict[tuple[int, int, int], str] = {}

    def append(self, event: ev.AnyEvent) -> int:
        self.journal.append(event)
        return len(self.journal)

    def ask(self, scope: str, *, again: bool = False) -> None:
        before = self.open.get(scope)
        if before is None:
            self.steps[scope] += 1
        elif not again:
            return
        attempt = 1 if before is None else before.attempt + 1
        step = self.steps[scope]
        seq = self.append(
            ev.ModelRequested(scope=scope, step=step, attempt=attempt, model="m", messages=ev.Messages(), streamed=True)
        )
        self.open[scope] = Request(seq, scope, step, attempt)

    def retry(self, scope: str) -> None:
        """The same request is streamed anew: its text so far is void, without a durable event."""
        if (one := self.open.get(scope)) is not None:
            self.open[scope] = Request(one.seq, scope, one.number, one.attempt + 1)

    def respond(self, scope: str) -> None:
        if (one := self.open.pop(scope, None)) is None:
            return
        seq = self.append(
            ev.ModelResponded(
                scope=scope,
                step=one.number,
                attempt=one.attempt,
                response=REF,
                history=ev.Messages(),
                model="m",
                usage=ev.Usage(),
                latency_ms=1,
            )
        )
        self.responses[seq] = one.response()
        self.answered[one.seq, one.attempt] = seq
        for part, (_, text) in one.texts.items():
            self.said[one.seq, one.attempt, part] = text

    def fail(self, scope: str) -> None:
        if (one := self.open.get(scope)) is not None:
            self.append(
                ev.ModelFailed(
                    scope=scope, step=one.number, attempt=one.attempt, error="e", message=REF, will_retry=True
                )
            )
            one.rows, one.texts = [], {}
            self.ask(scope, again=True)

    def change_hands(self) -> None:
        self.append(ev.RunClaimed(epoch=len(self.journal), worker=UUID(int=1), holdfast="0", pydantic_ai="2"))
        self.open.clear()

    def live(self, seqs: list[int]) -> list[LiveDelta]:
        return [row for one in self.open.values() if one.seq in seqs for row in one.rows]


@dataclass
class Reader:
    """A client: what it was given, and the connection it has."""

    world: World
    facts: list[int] = field(default_factory=list)
    texts: dict[tuple[int, int, int], str] = field(default_factory=lambda: defaultdict(str))
    voids: list[tuple[int, int]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connect()

    def connect(self) -> None:
        """Begin anew, knowing only the last id: what was computed and not received is lost."""
        self.stream = Stream(StreamCursor.parse(self.ids[-1] if self.ids else ""))
        for seq, event in enumerate(self.world.journal[: self.stream.cursor.seq], 1):
            self.stream.recall(seq, event)
        self.stream.forget_closed()
        self.due: list = []

    def read(self) -> None:
        """Receive the next item, if there is any."""
        if not self.due:
            self.due = self.look()
        if self.due:
            self.receive(self.due.pop(0))

    def look(self) -> list:
        seq = self.stream.cursor.seq + 1
        if seq > len(self.world.journal):
            return list(self.stream.text_of(self.world.live(self.stream.open)))
        event = self.world.journal[seq - 1]
        items = list(self.stream.before(event, self.world.responses.get(seq)))
        return [*items, (self.stream.deliver(seq, event), seq)]

    def receive(self, item) -> None:
        match item:
            case DeltaView():
                place = (item.seq, item.attempt, item.part)
                assert item.start == len(self.texts[place]), "gap or duplicate"
                self.texts[place] += item.text
                self.ids.append(item.id)
            case VoidView():
                self.voids.append((item.seq, item.attempt))
                self.ids.append(item.id)
            case (id_, seq):
                if isinstance(self.world.journal[seq - 1], ev.RunClaimed):
                    shown = {place[:2] for place in self.texts} - set(self.voids)
                    assert all(self.world.answered[one] < seq for one in shown), "void is said at a change of hands"
                self.facts.append(seq)
                self.ids.append(id_)


SCOPES = ("", "a/", "b/")
WEIGHTS = {"read": 30, "say": 25, "cut": 12, "ask": 12, "respond": 6, "fail": 4, "retry": 4, "other": 4, "change": 3}


def act(world: World, reader: Reader, rng: Random) -> None:
    """One thing happens."""
    scope = rng.choice(SCOPES)
    match rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]:
        case "read":
            for _ in range(rng.randint(1, 4)):
                reader.read()
        case "say" if scope in world.open:
            world.open[scope].say(rng.randrange(3), rng.choice(["x", "yz", "Ä🎈"]))
        case "cut":
            reader.connect()
        case "other":
            world.append(ev.MessageReceived(message=REF, by="local"))
        case "change":
            world.change_hands()
        case "ask" | "respond" | "fail" | "retry" as name:
            getattr(world, name)(scope)


@pytest.mark.parametrize("seed", range(0, 2000, 100))
def test_no_gap_no_duplicate_whatever_happens_wherever_it_is_cut(seed):
    for one in range(seed, seed + 100):
        play(Random(one), f"seed {one}")


def play(rng: Random, name: str) -> None:
    world = World()
    reader = Reader(world)
    for _ in range(80):
        act(world, reader, rng)
    world.append(ev.RunCancelled())
    world.open.clear()
    reader.connect()
    while len(reader.facts) < len(world.journal):
        before = len(reader.ids)
        reader.read()
        assert len(reader.ids) > before, f"{name}: the stream stands still"
    assert reader.facts == list(range(1, len(world.journal) + 1)), name
    kept = {place: text for place, text in reader.texts.items() if place[:2] not in reader.voids}
    assert kept == world.said, name
    assert len(reader.voids) == len(set(reader.voids)), name
    assert {place[:2] for place in reader.texts} >= set(reader.voids), "what was not shown is not declared void"
    assert len(reader.ids) == len(set(reader.ids)), "no two items have one id"


def test_cursors_that_nobody_made_are_refused():
    for text in (
        "x",
        "1.2",
        "1.2.3",
        "1.2.3.4.5",
        "-1",
        "1_2",
        "2_1.1.0.3_1.2.0.3",
        "1_2.1.0.3",
        " 1",
        "1.1.0.1_" * 9000,
    ):
        with pytest.raises(InvalidCursor):
            StreamCursor.parse(text)


def test_a_response_that_is_not_as_expected_has_no_text():
    for response in (None, [], {}, {"parts": None}, {"parts": [{"part_kind": "text"}]}):
        assert list(texts_of(response)) == []
