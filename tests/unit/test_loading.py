"""`load_app`: every way a reference can be wrong is told with file, line and cause."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from holdfast.app import App
from holdfast.domain.errors import UserError
from holdfast.loading import load_app


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - set(before):
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    return path


GOOD = """
    import holdfast
    app = holdfast.App("shop")
"""


def refusal(reference: str) -> str:
    with pytest.raises(UserError) as caught:
        load_app(reference)
    return str(caught.value)


def test_a_module_in_the_working_directory_is_found(project: Path):
    write(project / "shop_one.py", GOOD)
    assert load_app("shop_one:app").name == "shop"


def test_a_file_is_found_and_may_import_its_neighbours(project: Path):
    write(project / "deep" / "neighbour_two.py", "NAME = 'next-door'")
    write(
        project / "deep" / "shop_two.py",
        "import holdfast, neighbour_two\napp = holdfast.App(neighbour_two.NAME)",
    )
    assert load_app("deep/shop_two.py").name == "next-door"


def test_a_file_in_a_package_may_use_relative_imports(project: Path):
    write(project / "shop_three" / "__init__.py", "")
    write(project / "shop_three" / "name.py", "NAME = 'relative'")
    write(
        project / "shop_three" / "main.py",
        "import holdfast\nfrom .name import NAME\napp = holdfast.App(NAME)",
    )
    assert load_app("shop_three/main.py:app").name == "relative"


def test_a_file_whose_name_is_taken_is_still_the_one_loaded(project: Path):
    write(project / "json.py", GOOD)
    assert isinstance(load_app("json.py:app"), App)
    import json

    assert json.loads("1") == 1


def test_an_absent_module_is_told_and_the_file_suggested(project: Path):
    assert refusal("absent_four:app").startswith(f"There is no module 'absent_four' in {project}")
    assert refusal("absent.py:app") == f"There is no file {project}/absent.py."


def test_a_failing_import_names_file_line_and_cause(project: Path):
    write(project / "broken_five.py", "import holdfast\n\nx = 1 / 0\n")
    assert refusal("broken_five:app") == (
        f"{project}/broken_five.py:3: importing broken_five failed: ZeroDivisionError: division by zero"
    )


def test_a_failing_import_further_in_names_the_inner_place(project: Path):
    write(project / "inner_six.py", "\n\nimport no_such_thing_six\n")
    write(project / "outer_six.py", "import inner_six\n")
    assert refusal("outer_six:app") == (
        f"{project}/inner_six.py:3: importing outer_six failed: "
        "ModuleNotFoundError: No module named 'no_such_thing_six'"
    )


def test_a_syntax_error_names_its_line(project: Path):
    write(project / "syntax_seven.py", "import holdfast\napp = (\n")
    assert refusal("syntax_seven.py:app").startswith(f"{project}/syntax_seven.py:2: importing ")


def test_a_task_registered_twice_names_the_line(project: Path):
    write(
        project / "twice_eight.py",
        """\
        import holdfast
        from pydantic_ai import Agent
        from pydantic_ai.models.test import TestModel
        app = holdfast.App("shop")
        agent = Agent(TestModel())
        app.task("sell", agent=agent)
        app.task("sell", agent=agent)
        """,
    )
    assert refusal("twice_eight:app").startswith(f"{project}/twice_eight.py:7: Task 'sell' is registered twice")


def test_a_module_that_ends_the_process_is_told(project: Path):
    write(project / "script_nine.py", "import sys\nsys.exit(3)\n")
    assert refusal("script_nine:app").startswith(f"{project}/script_nine.py:2: importing script_nine ended")


def test_an_absent_attribute_lists_the_apps(project: Path):
    write(project / "shop_ten.py", GOOD)
    assert refusal("shop_ten:aap") == (f"{project}/shop_ten.py has no attribute 'aap'. It has shop_ten:app.")


def test_an_attribute_that_is_no_app_says_what_it_is(project: Path):
    write(project / "agent_eleven.py", "from pydantic_ai import Agent\nagent = Agent()\n")
    message = refusal("agent_eleven:agent")
    assert "'agent' in" in message
    assert "is of type Agent, not a holdfast.App" in message
    assert "app.task(" in message
