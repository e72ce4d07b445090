"""Arguments on their way into a policy: every one is mapped as it is, or refused when the tool is registered."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from pydantic_ai import Agent, RunContext, Tool
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import ExternalToolset, FunctionToolset
from typing_extensions import TypedDict

from holdfast import App, UserError, effect, governed
from holdfast.domain.verdict import Decision
from holdfast.guards.policy import load, schema_of
from holdfast.guards.policy.kinds import Amount, Unfit
from support.refunds import facts

SEES_ALL = "permit (principal, action, resource) when { context has args };"


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Address(BaseModel):
    street: str
    code: Annotated[str | None, Field(alias="zip")] = None


class Payment(BaseModel):
    amount: Decimal
    to: Address
    blob: dict[str, Any] = {}


class Node(BaseModel):
    value: int
    children: list["Node"] = []


@dataclass
class Point:
    x: int
    y: int


class Pair(TypedDict):
    left: str
    right: int


def app_of(*functions, **options):
    agent = Agent("test", tools=[function if isinstance(function, Tool) else Tool(function) for function in functions])
    app = App("shop")
    app.task("support", agent=agent, **options)
    return app


def args_of(function, **options):
    """The type of a tool's arguments, as the schema has it."""
    action = app_of(function, **options).vocabulary().actions[function.__name__]
    return action.args.cedar


def taking(annotation, default=...):
    """A tool with one argument of this type."""

    def tool(value):
        return ""

    tool.__annotations__ = {"value": annotation, "return": str}
    tool.__defaults__ = None if default is ... else (default,)
    return tool


@pytest.mark.parametrize(
    ("annotation", "cedar"),
    [
        (bool, "value: Bool"),
        (int, "value: Long"),
        (str, "value: String"),
        (Decimal, "value: decimal"),
        (Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=2)], "value: decimal"),
        (Decimal | None, "value?: decimal"),
        (str | None, "value?: String"),
        (Colour, "value: String"),
        (Level, "value: Long"),
        (Literal["a", "b"], "value: String"),
        (Literal["a"], "value: String"),
        (Literal["a"] | None, "value?: String"),
        (Literal[1, 2], "value: Long"),
        (date | datetime, "value: String"),
        (datetime, "value: String"),
        (UUID, "value: String"),
        (bytes, "value: String"),
        (list[str], "value: Set<String>"),
        (set[Colour], "value: Set<String>"),
        (tuple[int, ...], "value: Set<Long>"),
        (list[Decimal | None], "value: Set<decimal>"),
        (list[list[str]], "value: Set<Set<String>>"),
        (list[Pair], "value: Set<{left: String, right: Long}>"),
    ],
)
def test_types_that_have_one_in_cedar(annotation, cedar):
    assert args_of(taking(annotation)) == f"{{{cedar}}}"


@pytest.mark.parametrize(
    ("default", "cedar"), [(False, "value: Bool"), (None, "value?: Bool")], ids=["a value", "nothing"]
)
def test_an_argument_with_a_default_is_always_there(default, cedar):
    assert args_of(taking(bool if default is False else bool | None, default)) == f"{{{cedar}}}"


def test_a_single_model_is_its_fields():
    assert args_of(taking(Address)) == "{street: String, zip?: String}"
    assert args_of(taking(Point)) == "{x: Long, y: Long}"


def test_a_single_model_may_have_a_field_of_its_parameters_name():
    class Holder(BaseModel):
        value: str
        other: int

    policy = load(SEES_ALL, app_of(taking(Holder)).vocabulary())
    for args in (
        {"value": Holder(value="x", other=1)},
        {"value": {"value": "x", "other": 1}},
        {"value": "x", "other": 1},
    ):
        assert policy.verdict("tool", args, facts()).decision is Decision.ALLOW


def test_facts_of_a_single_model_may_ask_for_its_fields():
    def far(street: str) -> bool:
        return street == "far"

    tool = governed(facts={"far": far})(taking(Address))
    policy = load("permit (principal, action, resource) when { context.facts.far };", app_of(tool).vocabulary())
    for args in ({"value": Address(street="far")}, {"street": "far"}):
        verdict = policy.verdict("tool", args, facts())
        assert (verdict.decision, verdict.facts) == (Decision.ALLOW, {"far": True})


def test_models_are_records():
    @governed(out_of_policy="payment.blob")
    def pay(payment: Payment, urgent: bool) -> str:
        return ""

    assert args_of(pay) == "{payment: {amount: decimal, to: {street: String, zip?: String}}, urgent: Bool}"


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (float, "is a float. Make it a Decimal or an int"),
        (list[float], "is a float"),
        (dict[str, str], "is a dictionary whose keys are not known"),
        (list[dict[str, Any]], "is a dictionary whose keys are not known"),
        (Any, "may be anything"),
        (list, "may be anything"),
        (str | int, "may have values of several types"),
        (Address | Pair, "may have values of several types"),
        (tuple[str, int], "is a tuple of several types"),
        (Literal[1, "a"], "is an enumeration of values that are not all texts"),
        (None, "is always None"),
    ],
)
def test_what_has_no_type_in_cedar_is_refused_with_what_to_do(annotation, why):
    def tool(value, other: str) -> str:
        return ""

    tool.__annotations__["value"] = annotation
    with pytest.raises(UserError) as error:
        app_of(tool).vocabulary()
    told = str(error.value)
    assert told.startswith("Task 'support': tool 'tool': argument 'value' ")
    assert why in told
    assert told.endswith('@governed(out_of_policy=("value",)).')
    assert args_of(governed(out_of_policy="value")(tool)) == "{other: String}"


def test_a_tool_that_takes_anything_is_refused_or_hidden():
    def tool(**anything: str) -> str:
        return ""

    with pytest.raises(UserError, match=r"what it takes is a dictionary .* @governed\(out_of_policy=True\)"):
        app_of(tool).vocabulary()
    assert args_of(governed(out_of_policy=True)(tool)) == "{}"


def test_a_recursive_model_is_refused_where_it_turns_back():
    with pytest.raises(UserError, match=r"argument 'one.children' is a model that contains itself"):
        app_of(two(list[Node], str)).vocabulary()
    with pytest.raises(UserError, match="contains itself"):
        app_of(taking(Node)).vocabulary()


@pytest.mark.parametrize("annotation", [int, float, str, list[float], float | None])
def test_what_is_declared_an_amount_is_one(annotation):
    assert "decimal" in args_of(governed(amounts="value")(taking(annotation)))


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ({"amounts": "valu"}, "speaks of 'valu', which is no argument of it. Did you mean 'value'?"),
        ({"out_of_policy": "x.y"}, "speaks of 'x.y'"),
        ({"amounts": "on"}, "'on' is declared an amount and is no number"),
        ({"tallies": {"sum": "value"}}, "tally 'sum' adds up 'value', which is no amount"),
        ({"tallies": {"steps": "cents"}, "amounts": "cents"}, "A tally cannot be named 'steps'"),
        ({"group": "reads"}, "group 'reads' is one that tools are put into by what they are"),
        ({"group": "tool"}, "'tool' is the name of a group and of a tool"),
        ({"facts": {"far": lambda value: True}}, "fact 'far' does not say what it returns"),
        ({"facts": {"far": lambda other: True}}, "fact 'far' asks for 'other'"),
    ],
)
def test_declarations_that_are_not_so_are_refused(declared, why):
    @governed(**declared)
    def tool(value: str, on: bool, cents: int) -> str:
        return ""

    with pytest.raises(UserError) as error:
        app_of(tool).vocabulary()
    assert why in str(error.value)


def test_a_tool_is_governed_once_and_by_a_risk_that_there_is():
    with pytest.raises(UserError, match="governed twice"):
        governed(risk="low")(governed(group="a")(taking(str)))
    with pytest.raises(UserError, match="'extreme'"):
        governed(risk="extreme")  # pyright: ignore
    with pytest.raises(UserError, match="has the name of a group"):
        app_of(Tool(taking(str), name="writes")).vocabulary()


def test_with_a_policy_a_tool_is_refused_when_its_task_is_registered(tmp_path):
    agent = Agent("test", tools=[Tool(taking(float))])
    App("shop").task("support", agent=agent)
    with pytest.raises(UserError, match="is a float"):
        App("shop", policy=tmp_path / "policy.cedar").task("support", agent=agent)


def test_groups_come_from_what_tools_are_and_say():
    @effect.pure
    def look(order: str) -> str:
        return ""

    @effect.idempotent
    @governed(group=["money", "slow"], risk="high")
    def pay(order: str) -> str:
        return ""

    actions = app_of(look, pay, taking(str)).vocabulary().actions
    assert actions["look"].groups == {"reads", "pure"}
    assert actions["pay"].groups == {"writes", "idempotent", "money", "slow", "high_risk"}
    assert actions["tool"].groups == {"writes", "once"}


def test_all_of_a_tasks_tools_are_known_and_output_functions_are_none():
    def answer(text: str) -> str:
        return text

    def inner(text: str) -> str:
        return ""

    external = ExternalToolset(
        [
            ToolDefinition(
                name="ship", parameters_json_schema={"type": "object", "properties": {"to": {"type": "string"}}}
            )
        ]
    )
    sub = Agent("test", name="sub", tools=[Tool(taking(str), name="of_sub")])
    agent = Agent("test", output_type=answer, toolsets=[FunctionToolset([inner]).prefixed("shop"), external])
    app = App("shop")
    app.task("support", agent=agent, agents=[sub], effects={"answer": "once", "of_server": "pure"})
    actions = app.vocabulary().actions
    assert list(actions) == ["of_server", "of_sub", "ship", "shop_inner"]
    assert actions["of_server"].hidden
    assert actions["of_server"].groups == {"pure", "reads"}
    assert actions["ship"].args.cedar == "{to?: String}"


def test_what_is_governed_by_name_exists():
    with pytest.raises(UserError, match=r"governed names 'toool', .* Its tools: tool"):
        app_of(taking(str), governed={"toool": governed(risk="low")})
    app = app_of(taking(str), governed={"tool": governed(risk="low")})
    assert "low_risk" in app.vocabulary().actions["tool"].groups


def test_a_name_means_one_tool():
    app = app_of(taking(str))
    app.task("same", agent=Agent("test", tools=[Tool(taking(str))]))
    assert app.vocabulary().tasks == app.vocabulary().tasks_of["tool"] == ("same", "support")
    app.task("other", agent=Agent("test", tools=[Tool(taking(int))]))
    with pytest.raises(UserError, match=r"Tasks 'support' and 'other' have different tools named 'tool' \(args\)"):
        app.vocabulary()


def test_names_that_are_no_identifiers_can_be_spoken_of():
    schema = {"type": "object", "properties": {"order-id": {"type": "string"}, "in": {"type": "integer"}}}
    schema["required"] = ["order-id", "in"]
    tool = Tool.from_schema(lambda **_: "", "odd tool's", "", schema)
    policy = load(
        'permit (principal, action == Action::"odd tool\'s", resource) '
        'when { context.args["order-id"] == "7" && context.args["in"] > 3 };',
        app_of(tool).vocabulary(),
    )
    for order, decision in (("7", Decision.ALLOW), ("8", Decision.DENY)):
        assert policy.verdict("odd tool's", {"order-id": order, "in": 4}, facts()).decision is decision


def test_a_text_that_an_argument_never_is_cannot_be_compared_with():
    def paint(
        colour: Colour, others: list[Literal["dark", "light"]], either: Literal["a"] | Colour | None = None
    ) -> str:
        return ""

    vocabulary = app_of(paint).vocabulary()
    text = "permit (principal, action, resource) when {{ {} }};"
    for condition in ('context.args.colour == "red"', 'context.args.others.contains("dark")',
                      'context.args has either && context.args.either == "green"'):  # fmt: skip
        load(text.format(condition), vocabulary)
    with pytest.raises(UserError, match=r":1:68: It is never \"rde\". Did you mean 'red'\? It is one of green, red"):
        load(text.format('context.args.colour == "rde"'), vocabulary)
    for condition in (
        'context.args.others.containsAny(["dark", "drak"])',
        'context.args has either && "b" == context.args.either',
    ):
        with pytest.raises(UserError, match="It is never"):
            load(text.format(condition), vocabulary)


def test_a_schema_can_be_had_from_shapes_alone():
    assert schema_of([]).startswith("entity Role enum")
    load('permit (principal, action in Action::"reads", resource);', app_of().vocabulary())


def test_a_group_without_tools_may_be_spoken_of():
    vocabulary = app_of(taking(str)).vocabulary()
    load('permit (principal, action in Action::"reads", resource) when { context.run.depth == 0 };', vocabulary)
    with pytest.raises(UserError, match="can never apply"):
        load('permit (principal, action == Action::"reads", resource);', vocabulary)


@given(st.integers(-(2**63), 2**63 - 1))
def test_amounts_are_kept_to_the_last_place(scaled):
    number = Decimal(scaled).scaleb(-4)
    with localcontext() as context:
        context.prec = 6  # what users set for themselves changes nothing
        for shape in (number, str(number), format(number, "f"), f"{number:E}"):
            assert Amount().scaled(shape) == scaled
    assert Decimal(Amount().value(number)) == number


@given(st.decimals(allow_nan=True, allow_infinity=True) | st.floats() | st.text() | st.binary() | st.none())
def test_an_amount_is_kept_as_it_is_or_refused(given_):
    try:
        text = Amount().value(given_)
    except Unfit:
        return
    assert Decimal(text) == Decimal(given_ if isinstance(given_, str | Decimal) else repr(given_))
    assert abs(Decimal(text)) < 2**63


@pytest.mark.parametrize(
    "amount",
    [True, "1_000", " 5", "\u0665", "0x10", "nan", Decimal("Infinity"), Decimal("1E+999999"), Decimal("1E-999999"),
     "1.00001",        Decimal("922337203685477.5808"), Decimal("1." + "0" * 50 + "1"), [], "", None],
)  # fmt: skip
def test_what_is_no_amount_is_refused(amount):
    with pytest.raises(Unfit):
        Amount().value(amount)


# Types, with the JSON that fits them. The last are those that cannot be mapped.
MAPPABLE = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    str: st.text(),
    Decimal: st.integers(-(10**15), 10**15).map(lambda n: str(Decimal(n).scaleb(-4))),
    Colour: st.sampled_from([one.value for one in Colour]),
    Level: st.sampled_from([1, 2]),
    Literal["a", "b"]: st.sampled_from(["a", "b"]),
    date: st.dates().map(str),
    UUID: st.uuids().map(str),
    Address: st.fixed_dictionaries({"street": st.text()}, optional={"zip": st.text() | st.none()}),
    Point: st.fixed_dictionaries({"x": st.integers(0, 9), "y": st.integers(0, 9)}),
    Pair: st.fixed_dictionaries({"left": st.text(), "right": st.integers(0, 9)}),
}
UNMAPPABLE = [float, dict[str, int], Any, Node, tuple[int, str], str | int]


def _lists(pair):
    annotation, values = pair
    return list[annotation], st.lists(values, max_size=3)


def _optional(pair):
    annotation, values = pair
    return annotation | None, values | st.none()


mappable = st.recursive(
    st.sampled_from(list(MAPPABLE.items())),
    lambda inner: inner.map(_lists) | inner.map(_optional),
    max_leaves=3,
)
unmappable = st.sampled_from([(annotation, st.nothing()) for annotation in UNMAPPABLE])


def two(first, second):
    """A tool with two arguments."""

    def tool(ctx: RunContext[None], one, other):
        return ""

    tool.__annotations__ |= {"one": first, "other": second, "return": str}
    return Tool(tool)


@settings(max_examples=150, deadline=None)
@given(st.data(), mappable, mappable)
def test_every_valid_argument_is_mapped_and_the_shape_makes_no_difference(data, first, second):
    tool = two(first[0], second[0])
    policy = load(SEES_ALL, app_of(tool).vocabulary())
    raw = {"one": data.draw(first[1]), "other": data.draw(second[1])}
    validated = tool.function_schema.validator.validate_python(raw)
    for args in (raw, validated):
        verdict = policy.verdict("tool", args, facts())
        assert verdict.decision is Decision.ALLOW, verdict.reason


@settings(max_examples=40, deadline=None)
@given(mappable, st.recursive(unmappable, lambda inner: inner.map(_lists) | inner.map(_optional), max_leaves=2))
def test_every_other_argument_is_refused_at_registration(first, second):
    app = app_of(two(first[0], second[0]))
    with pytest.raises(UserError, match=r"argument 'other(.children)?'"):
        app.vocabulary()


def test_a_date_is_its_text():
    at = datetime(2026, 1, 2, tzinfo=UTC)
    text = 'permit (principal, action, resource) when { context.args.value == "2026-01-02T00:00:00Z" };'
    policy = load(text, app_of(taking(datetime)).vocabulary())
    assert policy.verdict("tool", {"value": at}, facts()).decision is Decision.ALLOW
