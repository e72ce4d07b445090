"""The exit codes in docs/cli.md are those of the code; each error has its own."""

import re
from pathlib import Path

import pytest

from holdfast.cli.exits import ExitCode, code_for
from holdfast.domain import errors

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def test_the_page_lists_exactly_the_codes_there_are():
    listed = [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)]
    assert listed == [int(code) for code in ExitCode]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UserError, 3),
        (errors.SchemaMismatch, 4),
        (errors.KeyUnavailable, 4),
        (errors.NotFound, 5),
        (errors.UnknownTask, 5),
        (errors.AlreadyDecided, 6),
        (errors.IdempotencyConflict, 6),
        (errors.InvalidInput, 2),
        (errors.TooLarge, 2),
        (errors.InvalidCursor, 2),
        (ValueError, 70),
    ],
)
def test_each_error_says_who_acts_next(error, code):
    assert code_for(error("told")) == code
