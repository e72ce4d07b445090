"""What providers say that a request used, as it is stored and added up."""

import math

import pytest
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage

from holdfast.engine.codec import dump_message, load_message
from holdfast.engine.usage import in_whole, is_measured


@pytest.mark.parametrize(("said", "kept"), [(11.5, 12), (-3.5, -3), (math.nan, 0), (math.inf, 10**12), (7, 7)])
def test_an_answer_can_be_read_again_whatever_its_provider_says_that_it_took(said, kept):
    usage = RequestUsage(input_tokens=said, output_tokens=1, details={"more": said})
    found = load_message(dump_message(ModelResponse(parts=[TextPart("x")], usage=usage)))
    assert isinstance(found, ModelResponse)
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.details) == (kept, 1, {"more": kept})
    assert is_measured(usage) is (0 <= said < math.inf)


def test_whole_numbers_stay_what_they_are():
    usage = RequestUsage(input_tokens=7, details={"more": 1}, audio_seconds=0.5)
    assert in_whole(usage) is usage
