"""The game of dice, as its page says to start it."""

import re
from pathlib import Path

from support.cli import Cli

APP = str(Path(__file__).parents[2] / "examples" / "dice" / "app.py") + ":app"


def test_the_player_is_told_what_the_die_shows(database, tmp_path):
    cli = Cli(tmp_path, database)
    ended = cli("run", APP, "dice", "I say 4")
    assert ended.code == 0, ended.err
    told = re.fullmatch(r"Local, you guessed 4 and the die shows ([1-6])\.\n", ended.out)
    assert told
    steps = cli("runs", "show", "last", "--json").json()["steps"]
    rolled = [step["content"]["result"]["value"] for step in steps if step["title"] == "called roll_die"]
    assert str(rolled[0]) == told[1], "what the player was told is what is in the journal"
