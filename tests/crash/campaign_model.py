"""The provider of the budget campaign: what it answers, what it says that this used, and how it fails.

All of it is drawn from the words a conversation opens with, which name the campaign's seed, the run and the branch, and
from the number of the turn; how a request fails, from its attempt as well. `Provider.said` is the second witness: what
journals and budgets hold has to be what was said here.
"""

import random
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from campaign_app import ANSWERS

from holdfast.testing import ModelServer, RawUsage, Script, ScriptRequest, ToolCall, Turn, Usage, calls, fault, say

Lie = Literal["honest", "less", "more", "longer", "cache", "contradiction", "fraction", "nothing", "nonsense"]
LIES: dict[Lie, int] = {
    "honest": 58, "less": 7, "more": 6, "longer": 4, "cache": 11, "contradiction": 2, "fraction": 2,
    "nothing": 7, "nonsense": 5,
}  # fmt: skip
FAULTS = {"none": 86, "busy": 3, "broken": 3, "cut": 6, "garbage": 2}
FRACTION = {"prompt_tokens": 11.5, "completion_tokens": 7, "total_tokens": 18.5}
NONSENSE: tuple[Any, ...] = (
    {"prompt_tokens": -40, "completion_tokens": 7, "total_tokens": -33},
    {"prompt_tokens": "many", "completion_tokens": 7, "total_tokens": 7},
    {"prompt_tokens": 9 * 10**18, "completion_tokens": 7, "total_tokens": 9 * 10**18},
    {},
)
USUAL = {most for pair in ANSWERS.values() for most in pair}
"""How long answers may be that no budget makes shorter."""
DELAY_S = 1.0
"""The longest that an answer is thought about."""


class Conversation(NamedTuple):
    """Whose request it is, as it opens: `seed.run` or `seed.run.branch`, then words to make it long."""

    tag: str
    turn: int

    @property
    def is_branch(self) -> bool:
        return self.tag.count(".") > 1


@dataclass(frozen=True)
class Said:
    """One answer, as the provider knows it."""

    of: Conversation
    model: str
    lie: Lie
    fault: str
    usage: Usage | None
    """None: it said nothing that can be counted."""


class Plan(NamedTuple):
    """What a conversation does: this many calls in each turn, then an answer."""

    widths: list[int]

    @classmethod
    def of(cls, tag: str) -> "Plan":
        rng = random.Random(tag)
        if tag.count(".") > 1:
            return cls([1] * rng.choice((0, 0, 1)))
        return cls([rng.randint(1, 4) for _ in range(rng.choice((1, 1, 1, 2)))])


class Provider:
    """The script, and the provider's own books."""

    def __init__(self) -> None:
        self.said: dict[tuple[str, int, int], Said] = {}
        """By the server's names of a conversation, turn and attempt."""
        self.server = ModelServer(Script(self._decide, stream_by="whole"), keep_bodies=1)

    def answers(self) -> dict[str, list[tuple[Said, str]]]:
        """Every answer with how it went out, by the conversation."""
        found: dict[str, list[tuple[Said, str]]] = {}
        for record in self.server.requests:
            said = self.said[record.conversation, record.turn, record.attempt]
            found.setdefault(said.of.tag, []).append((said, record.outcome))
        return found

    def most_at_once(self) -> int:
        """The most requests that were under way at one moment."""
        steps = [(each.received_at, 1) for each in self.server.requests]
        steps += [(each.received_at + (each.duration_s or 0), -1) for each in self.server.requests]
        now, most = 0, 0
        for _, step in sorted(steps):
            now += step
            most = max(most, now)
        return most

    def _decide(self, request: ScriptRequest) -> Turn:
        of = Conversation(request.opening.split()[0], request.turn)
        rng = random.Random(f"{of.tag} {of.turn} {request.attempt}")
        [failing] = rng.choices([*FAULTS], [*FAULTS.values()])
        if not of.is_branch and rng.random() < 0.6:
            failing = "none"  # a run whose own agent fails is over
        [lie] = rng.choices([*LIES], [*LIES.values()])
        usage = _usage(rng, lie, request)
        said = usage if isinstance(usage, Usage) else None
        self.said[request.conversation, request.turn, request.attempt] = Said(of, request.model, lie, failing, said)
        delay_s, is_cut = rng.uniform(0.01, DELAY_S), _is_cut(rng, request)
        options: dict[str, Any] = {"delay_s": delay_s, "usage": usage, "cut_short": is_cut}
        if (spoilt := _fault(rng, failing)) is not None:
            options["fault"] = spoilt
        plan = Plan.of(of.tag)
        if of.turn > len(plan.widths) or is_cut:
            return say(f"{of.tag} " + "word " * rng.randint(1, 40), **options)
        return calls(*_calls(of, plan), **options)


def _calls(of: Conversation, plan: Plan) -> list[Any]:
    rng = random.Random(f"{of.tag} {of.turn} calls")
    made = list[Any]()
    for number in range(plan.widths[of.turn - 1]):
        if of.is_branch or rng.random() < 0.15:
            tool = "dig" if of.is_branch and rng.random() < 0.2 else "look"
            made.append(ToolCall(tool, {"n": rng.randint(1, 5000)}))
        else:
            branch = f"{of.tag}.{of.turn}-{number}"
            made.append(ToolCall("ask", {"topic": f"{branch} " + "detail " * rng.randint(1, 120)}, branch))
    return made


def most_asked(request: ScriptRequest) -> int:
    """How long the answer may be."""
    return request.body.get("max_completion_tokens") or request.body["max_tokens"]


def _is_cut(rng: random.Random, request: ScriptRequest) -> bool:
    """Answers that are to be shorter than usual are cut more often than not."""
    return rng.random() < (0.7 if most_asked(request) not in USUAL else 0.01)


def _usage(rng: random.Random, lie: Lie, request: ScriptRequest) -> Usage | RawUsage:
    sent, most = request.input_size // 4 + 1, most_asked(request)
    said = rng.randint(1, most)
    match lie:
        case "honest":
            usage = Usage(sent, said, cached_tokens=rng.choice((0, 0, sent // 2)))
        case "less":
            usage = Usage(1, 1)
        case "more":
            usage = Usage(sent * rng.randint(20, 60), said + most)
        case "longer":
            usage = Usage(sent, most + rng.randint(1, 4000))
        case "cache":
            usage = Usage(sent, said, cache_write_tokens=rng.randint(1, sent))
        case "contradiction":
            usage = Usage(sent, said, cached_tokens=sent + rng.randint(1, 90))
        case "fraction":
            usage = RawUsage(FRACTION)
        case "nothing":
            usage = RawUsage(None)
        case "nonsense":
            usage = RawUsage(rng.choice(NONSENSE))
    return usage


def _fault(rng: random.Random, name: str) -> Any:
    match name:
        case "busy":
            return fault(429, times=None)
        case "broken":
            return fault(rng.choice((500, 502, 503)), times=None)
        case "cut":
            return fault(cut_after=rng.choice((0, 1)), times=None)
        case "garbage":
            return fault(malformed=rng.choice(("json", "shape")), times=None)
        case _:
            return None
