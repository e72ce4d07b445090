from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.testing import parse_routes

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()


def fences(language):
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no {language} fence: the pattern or the page is wrong"
    return found


@pytest.mark.parametrize("source", fences("python"))
def test_each_example_runs_on_its_own(source):
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("source", fences("yaml"))
def test_each_yaml_example_is_valid(source):
    assert parse_routes(source)
