"""Events written and read: what JSON cannot say is escaped or refused, never stored wrong."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.events import Messages, ModelRequested, Noted
from holdfast.domain.ids import Ref
from holdfast.domain.stored import dump, load


def noted(key):
    return Noted(scope="", key=key, value=Ref("00"))


@given(st.text())
def test_any_text_survives_but_for_lone_surrogates(key):
    assert load("noted", dump(noted(key))) == noted(key)


@given(st.text(st.characters(codec=None, categories=["Cs", "L"])))
def test_lone_surrogates_become_visible_escapes_that_every_reader_can_take(key):
    body = dump(noted(key))
    body.decode()
    loaded = load("noted", body)
    assert isinstance(loaded, Noted)
    assert loaded.key == key.encode(errors="backslashreplace").decode()
    assert dump(loaded) == body


def test_surrogates_are_escaped_at_any_depth():
    event = ModelRequested(
        scope="\ud800", step=1, attempt=1, model="m", messages=Messages(add=["\udfff"]), settings=Ref("0")
    )
    loaded = load("model_requested", dump(event))
    assert isinstance(loaded, ModelRequested)
    assert (loaded.scope, loaded.messages.add) == ("\\ud800", ["\\udfff"])


def test_an_integer_that_would_lose_digits_is_refused_also_beside_a_surrogate():
    for scope in ("", "\ud800"):
        with pytest.raises(orjson.JSONEncodeError):
            dump(ModelRequested(scope=scope, step=2**80, attempt=1, model="m", messages=Messages()))
