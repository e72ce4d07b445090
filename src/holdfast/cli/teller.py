"""Tells a run as it goes, for somebody who watches: text as it is written, tools as they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from holdfast.cli.screen import err, lasted, plain
from holdfast.service.views import ContentView, DeltaView, EventView, StreamItem, VoidView

if TYPE_CHECKING:
    from collections.abc import Mapping

PREVIEW_CHARS = 160
_WAITS = {
    "approval": "It waits for an approval.",
    "question": "It waits for an answer.",
    "in_doubt": "It waits for a person to say what became of an effect.",
    "limit": "It reached a limit.",
    "escalation": "It waits for a person to say what becomes of it.",
    "timer": "It waits for its time.",
    "signal": "It waits for a signal.",
    "code": "It waits for code that can go on with it.",
    "quarantine": "It was put in quarantine: it was taken up again and again without getting anywhere.",
    "halt": "It was halted.",
    "rights": "It waits for its principal to have the rights it needs.",
    "login": "It waits for its principal to sign in again.",
}


class Teller:
    """Writes the items of a run's stream to standard error.

    Args:
        quiet: write nothing, as where the answer is JSON.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = err()
        self._console.quiet = quiet
        self._in_text = False
        self.shows_text = self._console.is_terminal and not quiet
        self.text = ""
        """What the latest response said so far."""

    def tell(self, item: StreamItem) -> None:
        """Write one item."""
        match item:
            case DeltaView():
                self._delta(item)
            case VoidView():
                self.say("That answer was cut off. The text since then does not count; the model is asked again.")
            case EventView():
                self._event(item)

    def say(self, text: str) -> None:
        """Write a line."""
        self._end_text()
        self._console.print(text, markup=False)

    def ask(self, question: str) -> None:
        """Write a question, and stay behind it."""
        self._end_text()
        self._console.print(question, end="", markup=False)

    def _delta(self, item: DeltaView) -> None:
        if item.kind != "text":
            return
        if item.start == 0:
            self._end_text()
            self.text = ""
        self.text += item.text
        self._in_text = True
        self._console.print(item.text, end="", markup=False)

    def _end_text(self) -> None:
        if self._in_text:
            self._console.print()
            self._in_text = False

    def _event(self, item: EventView) -> None:
        data = item.data
        match item.type:
            case "run_claimed" if data["epoch"] > 1:
                self.say("A worker carries on.")
            case "model_responded":
                self._end_text()
            case "model_failed":
                self.say(f"The model could not be asked: {data['error']}: {preview(item.content.get('message'))}")
            case "tool_started":
                again = f" (attempt {data['attempt']})" if data["attempt"] > 1 else ""
                self.say(f"-> {data['tool']}({_arguments(item.content.get('args'))}){again}")
            case "tool_finished":
                self._tool_finished(data, item.content.get("result"))
            case _:
                if not self._people(item.type, data, item.content):
                    self._turning_point(item.type, data, item.content)

    def _tool_finished(self, data: Mapping[str, Any], result: ContentView | None) -> None:
        said = preview(result)
        match data["outcome"]:
            case "deferred":  # what it waits for is told by what follows
                return
            case "value":
                said = said or "done"
            case other:
                said = f"{other}: {said}"
        self.say(f"<- {data['tool']}: {said}  [{lasted(data['latency_ms'])}]")

    def _people(self, kind: str, data: Mapping[str, Any], content: Mapping[str, ContentView]) -> bool:
        """Write what people are asked and what they say. False where it is something else."""
        match kind:
            case "approval_asked":
                self.say(f"?  May {data['tool']}({_arguments(content.get('args'))}) be called?")
            case "question_asked" | "call_handed_out":
                said = preview(content.get("metadata"))
                self.say(f"?  {data['tool']}({_arguments(content.get('args'))}) waits for an answer. {said}".rstrip())
            case "effect_in_doubt":
                self.say(f"?  {data['why']}")
            case "approval_decided" | "question_answered" | "effect_resolved" | "escalation_decided":
                verdict = data.get("verdict") or data.get("resolution") or data.get("way")
                said = preview(content.get("answer") or content.get("reason"))
                self.say(f"!  {data['by']}: {verdict}. {said}".rstrip())
            case _:
                return False
        return True

    def _turning_point(self, kind: str, data: Mapping[str, Any], content: Mapping[str, ContentView]) -> None:
        match kind:
            case "loop_detected":
                self.say(f"!  It is in a loop. {preview(content.get('why'))}")
            case "escalated":
                self.say(f"?  {preview(content.get('message'))}")
            case "message_received":
                self.say(f"!  {data['by']}: {preview(content.get('message'))}")
            case "cancel_requested":
                self.say(f"!  {data['by']} asked to stop.")
            case "run_diverged":
                self.say(f"The code no longer does what the journal says it did, at {data['place']}.")
            case "run_parked":
                self.say(f"{_WAITS.get(data['waiting_on'], data['waiting_on'])} {data['why']}".rstrip())
            case _:
                self._end_text()


def preview(content: ContentView | None, chars: int | None = PREVIEW_CHARS) -> str:
    """Content in one line of at most `chars`; None for all of it as it is."""
    if content is None:
        return ""
    if content.erased:
        return "[erased]"
    if content.missing:
        return "[missing]"
    text = content.text or "" if content.truncated else plain(content.value)
    if chars is None:
        return text
    text = " ".join(text.split())
    return text if len(text) <= chars else f"{text[:chars]}..."


def _arguments(content: ContentView | None) -> str:
    value: Any = None if content is None else content.value
    if not isinstance(value, dict):
        return preview(content)
    pairs = cast("dict[str, Any]", value)
    text = ", ".join(f"{name}={plain(given)}" for name, given in pairs.items())
    return text if len(text) <= PREVIEW_CHARS else f"{text[:PREVIEW_CHARS]}..."
