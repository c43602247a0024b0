"""Scripted answers: rules in a file, and what is wrong with a file."""

from pathlib import Path

import pytest

from autoflow.core.model import Message, Request
from autoflow.errors import ConfigError, ProviderError
from autoflow.models.scripted import load


def asked(text: str, purpose: str = "", system: str = "") -> Request:
    return Request((Message("system", system), Message("user", text)), purpose=purpose)


async def test_first_rule_that_fits_answers_and_the_last_reply_repeats(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(
        "- {when: input, replies: [image, text]}\n"
        "- {purpose: label, replies: ['yes']}\n"
        "- {system: poet, replies: [rhyme]}\n"
    )
    model = load(path)
    texts = [(await model.complete(asked("the input"))).text for _ in range(3)]
    assert texts == ["image", "text", "text"]
    assert (await model.complete(asked("?", purpose="label"))).text == "yes"
    reply = await model.complete(asked("write it", system="a poet"))
    assert (reply.text, reply.usage.output_tokens, reply.usage.cost_usd) == ("rhyme", 1, 0.0)
    with pytest.raises(ProviderError, match="no rule fits") as caught:
        await model.complete(asked("unforeseen"))
    assert not caught.value.transient
    await model.aclose()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "non-empty list"),
        ("{a: 1}", "non-empty list"),
        ("- {replies: []}", "rule 1"),
        ("- {replies: [a], wen: x}", "rule 1"),
        ("- {replies: [yes]}", "quote yes"),
        ("- [", r"script\.yaml:1:4: the script is not YAML"),
    ],
)
def test_faulty_script_names_file_and_rule(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        load(path)
    assert str(path) in str(caught.value)
