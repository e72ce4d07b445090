"""What the model says in each scenario: a function of the conversation, so that it says the same after any crash."""

from collections import Counter
from typing import Any

from holdfast.testing import Script, ScriptRequest, call, calls, output, say

STEPS = 15
CHAT_TURNS = 105
LONG_TEXT = " ".join(f"word{n}" for n in range(40))


def _sequential(turn: int) -> Any:
    if turn <= STEPS:
        return call(("add", "pay", "look", "send")[turn % 4], n=turn)
    return None


def _parallel(turn: int) -> Any:
    if turn <= 2:
        return calls(*(call(tool, n=turn) for tool in ("add", "pay", "look", "add_in_thread", "send")))
    return None


def _stream(turn: int) -> Any:
    if turn <= 2:
        return calls(call("add", n=turn), call("look", n=turn), text=LONG_TEXT)
    return say(LONG_TEXT) if turn == 3 else None


def _approval(turn: int) -> Any:
    if turn == 1:
        return calls(call("wire", n=1), call("add", n=1), call("wire", n=2))
    return call("wire", n=3) if turn == 2 else None


def _question(turn: int) -> Any:
    if turn == 1:
        return calls(call("ask_person", n=1), call("add", n=1), call("measure", n=2))
    return call("ask_person", n=3) if turn == 2 else None


def _delegate(turn: int) -> Any:
    if turn == 1:
        return calls(call("ask_helper", topic="{tag} first"), call("add", n=1))
    return call("ask_helper", topic="{tag} second") if turn == 2 else None


def _helper(turn: int) -> Any:
    if turn == 1:
        return calls(call("add", n=11), call("pay", n=12))
    return call("add", n=13) if turn == 2 else None


def _retry(turn: int) -> Any:
    if turn <= 2:
        return call("flaky", n=1)
    return output({"lines": ["a", "b"], "final": turn > 3})


def _slow(tool: str) -> Any:
    return lambda turn: (call(tool, n=1), call("add", n=2), None)[min(turn, 3) - 1]


def _beside(turn: int) -> Any:
    return calls(call("pay", n=1), call("slow", n=1)) if turn == 1 else None


def _chat(turn: int) -> Any:
    return call("read_file", n=turn) if turn <= CHAT_TURNS else say("I have read everything.")


SCENARIOS = {
    "sequential": _sequential,
    "parallel": _parallel,
    "stream": _stream,
    "approval": _approval,
    "question": _question,
    "delegate": _delegate,
    "retry": _retry,
    "slow": _slow("slow"),
    "slow_pay": _slow("slow_pay"),
    "beside": _beside,
    "chat": _chat,
}


class Model:
    """The script, and how often each turn of each conversation was asked for.

    A run's input is `<scenario> <tag>`. The tag tells its conversations from those of other runs.
    """

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str, int]] = Counter()
        """By tag, kind of conversation, and turn."""
        self.script = Script(self._decide)

    def requests_of(self, tag: str) -> dict[tuple[str, int], int]:
        """How often each turn of a run's conversations was asked for."""
        # The list is made at one stroke: the server's thread goes on counting.
        return {(kind, turn): count for (of, kind, turn), count in list(self.asked.items()) if of == tag}

    def _decide(self, request: ScriptRequest) -> Any:
        kind, tag = request.opening.split()[:2]
        if kind not in SCENARIOS:  # what `ask_helper` asks: `<tag> <topic>`
            tag, kind = kind, f"helper {tag}"
        self.asked[tag, kind, request.turn] += 1
        said = (_helper if kind.startswith("helper") else SCENARIOS[kind])(request.turn)
        if said is None:
            # All that it was ever told, in order: what it is told twice, or never, the output shows.
            return say("; ".join(result.text for result in request.results))
        return _filled(said, tag)


def _filled(said: Any, tag: str) -> Any:
    """Arguments of function scripts are sent as they are, so the tag is put in here."""
    found = getattr(said, "tool_calls", (said,))
    for each in found:
        topic = getattr(each, "arguments", {}).get("topic") if hasattr(each, "arguments") else None
        if topic is not None:
            each.arguments["topic"] = topic.replace("{tag}", tag)
    return said
