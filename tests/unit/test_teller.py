"""What somebody who watches a run is told of calls that wait for somebody else."""

from datetime import UTC, datetime

import pytest

from holdfast.cli.teller import Teller
from holdfast.domain import events as ev
from holdfast.service.views import EventView


@pytest.mark.parametrize("type_", [ev.QuestionAsked.type, ev.CallHandedOut.type])
def test_a_call_that_waits_for_its_result_is_told(capsys, type_):
    Teller().tell(EventView(id="e1", seq=1, type=type_, at=datetime.now(UTC), data={"tool": "measure"}))
    assert "?  measure() waits for an answer." in capsys.readouterr().err
