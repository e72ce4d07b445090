"""Visits every state that can be reached, breadth first, so that a trace to a violation is as short as can be."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from formal.database import Violation
from formal.invariants import check
from formal.moves import forget, moves
from formal.scope import Scope
from formal.state import FINAL, World

WAITS_FOR_PERSON = frozenset({"approval", "in_doubt", "halt", "quarantine"})


@dataclass(frozen=True)
class Found:
    """What an exploration found. `trace` leads to the violation, if there is one."""

    states: int
    transitions: int
    depth: int
    violation: str = ""
    trace: tuple[str, ...] = ()


def is_settled(world: World) -> bool:
    """Every run has ended, or waits as rows for somebody."""
    return all(run.state in FINAL or (run.state == "parked" and run.why in WAITS_FOR_PERSON) for run in world.runs)


def is_over(world: World) -> bool:
    """Every run has ended, or is in quarantine, which a person must look into."""
    return all(run.state in FINAL or run.why == "quarantine" for run in world.runs)


class Graph:
    """The states reached so far, numbered, and how."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.worlds = [scope.start()]
        self.number = {self.worlds[0]: 0}
        self.came: list[tuple[int, str]] = [(-1, "")]
        self.depth = [0]
        self.edges: list[list[tuple[int, str]]] = []
        """Towards each state: where from, and by what kind of move."""
        self.transitions = 0

    def trace(self, at: int, last: str = "") -> tuple[str, ...]:
        """What happened on the way to a state."""
        steps = [last] if last else []
        while at > 0:
            at, label = self.came[at]
            steps.append(label)
        return tuple(reversed(steps))

    def found(self, violation: str = "", trace: tuple[str, ...] = ()) -> Found:
        """The exploration in numbers."""
        return Found(len(self.worlds), self.transitions, max(self.depth), violation, trace)

    def expand(self, at: int) -> list[int]:
        """Visit what follows a state; gives the new ones."""
        new: list[int] = []
        for kind, label, after in moves(self.scope, self.worlds[at]):
            self.transitions += 1
            after = forget(self.scope, after)  # noqa: PLW2901 the same world, told shorter
            to = self.number.get(after)
            if to is None:
                to = self.number[after] = len(self.worlds)
                self.worlds.append(after)
                self.came.append((at, label))
                self.depth.append(self.depth[at] + 1)
                self.edges.append([])
                new.append(to)
            self.edges[to].append((at, kind))
        return new

    def stuck(self, goal: Callable[[World], bool], kinds: set[str]) -> int | None:
        """A state from which moves of these kinds never lead to the goal, the earliest reached, if any."""
        reached = [goal(world) for world in self.worlds]
        line = deque(at for at, there in enumerate(reached) if there)
        while line:
            for before, kind in self.edges[line.popleft()]:
                if kind in kinds and not reached[before]:
                    reached[before] = True
                    line.append(before)
        return next((at for at, there in enumerate(reached) if not there), None)


def explore(scope: Scope) -> Found:
    """Explore a scope whole: invariants in every state, then whether every state leads on."""
    graph = Graph(scope)
    graph.edges.append([])
    line = deque([0])
    while line:
        at = line.popleft()
        try:
            new = graph.expand(at)
        except Violation as violation:
            return graph.found(str(violation), graph.trace(at))
        for to in new:
            try:
                check(graph.worlds[to])
            except Violation as violation:
                return graph.found(str(violation), graph.trace(to))
        line.extend(new)
    at = graph.stuck(is_settled, {"work"})
    if at is not None:
        return graph.found("workers alone cannot go on from here", graph.trace(at))
    at = graph.stuck(is_over, {"work", "person"})
    if at is not None:
        return graph.found("a run that no person and no worker can end", graph.trace(at))
    return graph.found()
