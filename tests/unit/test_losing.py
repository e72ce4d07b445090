"""A lost lease reaches every execution, whatever becomes of the line that says so."""

import pytest
import structlog

from holdfast.worker.carried import Carried


class Execution:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.lost: list[str] = []

    def lose(self, why: str) -> None:
        self.lost.append(why)


@pytest.fixture(autouse=True)
def broken_logs():
    def broken(*_):
        raise BrokenPipeError

    before = structlog.get_config()
    structlog.configure(processors=[broken])
    yield
    structlog.configure(**before)


def test_every_execution_is_told_before_anything_is_logged():
    carried = Carried(None, slots=9, execute=None, give_back=None, freed=None)
    executions = [Execution() for _ in range(3)]
    carried._executions = {(number, 1): each for number, each in enumerate(executions)}
    with pytest.raises(BrokenPipeError):
        carried.lose("why")
    assert [each.lost for each in executions] == [["why"]] * 3
