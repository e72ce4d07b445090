"""`[[prices]]` in holdfast.toml: read, shown, and told with the line where they are wrong."""

from itertools import combinations
from pathlib import Path

import pytest
from pydantic import ValidationError

from holdfast.domain.errors import UserError
from holdfast.guards.prices import PriceTable
from holdfast.guards.prices.catalogue import rates_of
from holdfast.settings import PREFIX, Settings

GOOD = """\
slots = 2

[[prices]]
model = "llama-*"
input = 0.1
output = "0.40"

[[prices]]
model = "gpt-5"
tier = "flex"
from = 2026-11-01
input = 1
output = 2
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import os

    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(project: Path, text: str) -> str:
    (project / "holdfast.toml").write_text(text)
    with pytest.raises(UserError) as caught:
        Settings.load()
    return str(caught.value).replace(f"{project}/", "")


def test_tables_are_read_and_shown_with_their_lines(project: Path):
    (project / "holdfast.toml").write_text(GOOD)
    settings = Settings.load()
    assert [str(table.input) for table in settings.prices] == ["0.1", "1"], "0.1 is a tenth"
    shown = [line for line in settings.show() if line.name.startswith("prices")]
    assert [(line.name, line.value, line.origin.rpartition("/")[2]) for line in shown] == [
        ("prices[0]", "llama-*", "holdfast.toml:3"),
        ("prices[1]", "gpt-5, tier flex, from 2026-11-01", "holdfast.toml:8"),
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("input = 0.1", "inptu = 0.1"), "holdfast.toml:5: 'prices[0].inptu' is not a setting; did you mean 'input'"),
        (("input = 0.1", "xyzzy = 0.1"), "holdfast.toml:5: 'prices[0].xyzzy' is not a setting of prices"),
        (("input = 0.1", "input = -1"), "holdfast.toml:5: 'prices[0].input' should be greater than or equal to 0"),
        (("input = 0.1", 'input = "cheap"'), "holdfast.toml:5: 'prices[0].input'"),
        (("input = 0.1", "input = true"), "is an amount in USD: write a number"),
        (("input = 0.1\n", ""), "holdfast.toml:3: 'prices[0]' needs 'input' and 'output' together"),
        (('model = "llama-*"\n', ""), "holdfast.toml:3: 'prices[0].model' is missing"),
        (("from = 2026-11-01", "from = 2026-13-01"), "not valid TOML"),
        (("from = 2026-11-01", 'from = "soon"'), "holdfast.toml:11: 'prices[1].from'"),
        (
            ('model = "gpt-5"\ntier = "flex"\nfrom = 2026-11-01', 'model = "llama-*"'),
            "holdfast.toml:8: 'prices[1]' is of llama-*, as the one at holdfast.toml:3 is. Keep one",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(project: Path, change: tuple[str, str], says: str):
    assert says in refusal(project, GOOD.replace(*change))


def test_one_table_is_written_with_two_brackets_and_never_in_the_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    assert "write [[prices]], with two brackets" in refusal(project, '[prices]\nmodel = "m"\n')
    monkeypatch.setenv("HOLDFAST_PRICES", "x")
    with pytest.raises(UserError, match=r"prices are tables. Write them in holdfast.toml, as \[\[prices\]\]"):
        Settings.load()


def test_whatever_a_table_may_say_the_arithmetic_takes():
    from decimal import Decimal

    names = [name for name, field in PriceTable.model_fields.items() if "USD" in (field.description or "")]
    rest = [name for name in names if name not in {"input", "output"}]
    everything = dict.fromkeys(
        ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "output_reasoning_tokens",
         "input_audio_tokens", "output_audio_tokens", "input_image_tokens", "output_image_tokens",
         "cache_audio_read_tokens"], Decimal(0),
    )  # fmt: skip
    # As many kinds at once as there may be: none is left to the sum that is written out.
    whole = everything | {"input_tokens": Decimal(100), "output_tokens": Decimal(100), "cache_read_tokens": Decimal(9)}
    for count in (0, 1, 2, 3, len(rest)):
        for some in combinations(rest, count):
            given = {"model": "m", "input": 1, "output": 1} | dict.fromkeys(some, 2)
            try:
                table = PriceTable.model_validate(given)
            except ValidationError:
                continue
            assert rates_of(table.units).total(whole) > 0
