"""Secrets are blotted out of a text, and nothing else is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoflow.runs.secrets import BLOT, blotter

nothing = blotter({})


@pytest.mark.parametrize(
    "name",
    ["OPENAI_API_KEY", "HF_TOKEN", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "MY_KEY", "token", "SECRET_STUFF", "PG_DSN"],
)
def test_a_variable_named_like_a_secret_is_one(name: str) -> None:
    assert blotter({name: "correct horse"})("say correct horse twice") == f"say {BLOT} twice"


@pytest.mark.parametrize(
    ("name", "value"),
    [("HOME", "/somewhere/else"), ("OPENAI_API_KEY_FILE", "/etc/key-file"), ("MAX_TOKENS", "123456789"),
     ("MONKEY", "bananas and more"), ("API_KEY", "short"), ("TOKEN_LIMIT", "1000000000")],
)  # fmt: skip
def test_other_variables_are_not(name: str, value: str) -> None:
    assert blotter({name: value})(f"it is {value}") == f"it is {value}"


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdefghijklmnop1234",
        "sk-proj-abc_def-ghijklmnop1234",
        "ghp_abcdefghijklmnopqrst1234",
        "gho_abcdefghijklmnopqrst1234",
        "ghs_abcdefghijklmnopqrst1234",
        "github_pat_abcdefghijklmnopqrst1234",
        "hf_abcdefghijklmnopqrst1234",
        "xoxb-1234567890-abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nabc and the rest is cut off",
    ],
)
def test_the_published_forms_of_keys_are_secret(secret: str) -> None:
    assert nothing(secret) == BLOT
    assert nothing(f"use {secret}") == f"use {BLOT}"
    assert nothing(f"a_b-x K z J B V {'.' * 99} {secret}") == f"a_b-x K z J B V {'.' * 99} {BLOT}"
    assert json.loads(nothing(json.dumps({"say": f"use {secret}", "n": 1}))) == {"say": f"use {BLOT}", "n": 1}


def test_a_header_loses_its_value() -> None:
    assert nothing("Authorization: Bearer abcdefghijklmnop1234=") == f"Authorization: Bearer {BLOT}"
    assert nothing("authorization: bearer abcdefghijklmnop1234") == f"authorization: bearer {BLOT}"
    assert nothing("Basic dXNlcjpwYXNzd29yZDEyMw==") == f"Basic {BLOT}"


@pytest.mark.parametrize(
    "text", ["the task-sk-3 is risk-averse", "Basic arithmetic", "Bearer of news", "hf_hub", "eyJust", "a sk-short"]
)
def test_words_that_begin_like_a_key_stay(text: str) -> None:
    assert nothing(text) == text


@given(st.text(min_size=8), st.text(), st.text())
def test_no_secret_of_the_environment_is_left_in_json(secret: str, before: str, after: str) -> None:
    text = json.dumps({"text": before + secret + after})
    blotted = blotter({"API_KEY": secret})(text)
    assert json.dumps(secret)[1:-1] not in blotted.replace(BLOT, "")
    json.loads(blotted)
