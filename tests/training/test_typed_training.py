"""Samples held to a grammar: nothing else is drawn, and each token is credited among what the grammar left."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")
pytest.importorskip("llguidance")

from training_helpers import config, made, make_model, scoring, weights

from autoflow.errors import UsageError

pytestmark = [
    pytest.mark.xdist_group("training"),  # torch is slow to import: once is enough
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]

GRAMMAR = '%llguidance {}\nstart: "a" X "d" X? X?\nX: /[bc]/\n'
LANGUAGE = {"a" + "".join(rest) for rest in ("bd", "cd", *(f"{x}d{y}" for x in "bc" for y in "bc"))} | {
    f"a{x}d{y}{z}" for x in "bc" for y in "bc" for z in "bc"
}


def prompts(*grammars: str | None) -> list[dict[str, Any]]:
    return [
        {"prompt": [{"role": "user", "content": letter}], "assignment": letter, "grammar": grammar}
        for letter, grammar in zip("abcdefgh", grammars, strict=False)
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"))


def trained(method: str, model: Path, folder: Path, rows: Any, reward: Any, **trainer: Any) -> tuple[Any, Any]:
    seen: list[tuple[str, int]] = []
    settings = config(method, model, typed=True, trainer={"max_completion_length": 8, **trainer})
    made_one = made(settings, folder, score=scoring(reward, seen), prompts=rows)
    return made_one, seen


@pytest.mark.parametrize("method", ["reinforce", "grpo"])
def test_what_is_sampled_is_of_the_grammar_and_the_rest_stays_free(method: str, model: Path, tmp_path: Path) -> None:
    rows = prompts(GRAMMAR, None)
    trainer, seen = trained(method, model, tmp_path, rows, len, max_steps=4)
    trainer.train()
    texts = {text for text, _ in seen}
    held = texts & LANGUAGE
    assert len(held) > 3
    assert texts - held  # of the prompt without a grammar
    trainer, seen = trained(method, model, tmp_path / "held", rows[:1], len, max_steps=4)
    trainer.train()
    assert {text for text, _ in seen} <= LANGUAGE


def test_a_token_is_credited_among_those_that_the_grammar_left(model: Path, tmp_path: Path) -> None:
    import torch

    rows = prompts(GRAMMAR)
    trainer, _ = trained("grpo", model, tmp_path, rows, len, max_steps=1, num_generations=4, temperature=0.7)
    tokenizer = trainer.processing_class
    prompt = tokenizer.apply_chat_template(rows[0]["prompt"], add_generation_prompt=True, return_dict=True)["input_ids"]
    end = tokenizer.eos_token_id
    a, b, c, d = tokenizer.convert_tokens_to_ids(list("abcd"))
    completion = [a, c, d, b, end]
    left = [[a], [b, c], [d], [b, c, end], [b, c, end]]
    ids = torch.tensor([prompt + completion])
    logits = trainer.model(input_ids=ids).logits[0, len(prompt) - 1 : -1].double() / 0.7
    chances = [logits[at, allowed].softmax(-1) for at, allowed in enumerate(left)]
    expected = [
        float(each[allowed.index(token)].log()) for each, allowed, token in zip(chances, left, completion, strict=True)
    ]
    spreads = [float(-(each * each.log()).sum()) for each in chances]
    logs, entropies, _ = trainer._get_per_token_logps_and_entropies(
        trainer.model, ids, torch.ones_like(ids), len(completion), compute_entropy=True
    )
    assert logs[0].tolist() == pytest.approx(expected, abs=1e-5)
    assert entropies[0].tolist() == pytest.approx(spreads, abs=1e-5)
    assert logs[0, 0] == logs[0, 2] == 0.0  # decided by the grammar
    # What was not drawn under the grammar must not pass for it.
    with pytest.raises(ValueError, match="place 1"):
        trainer._get_per_token_logps_and_entropies(
            trainer.model, torch.tensor([[*prompt, a, d]]), torch.ones(1, len(prompt) + 2), 2
        )


@pytest.mark.parametrize("method", ["reinforce", "grpo"])
def test_a_choice_that_the_grammar_leaves_is_learned(method: str, model: Path, tmp_path: Path) -> None:
    trainer, seen = trained(
        method, model, tmp_path, prompts(GRAMMAR), lambda text: float(text[1] == "c"), max_steps=40, learning_rate=3e-2
    )
    trainer.train()
    late = [text[1] for text, step in seen if step >= 35]
    early = [text[1] for text, step in seen if step < 3]
    assert 0.2 < early.count("c") / len(early) < 0.8
    assert late.count("c") >= 0.9 * len(late)


def test_what_the_grammar_decides_alone_teaches_nothing(model: Path, tmp_path: Path) -> None:
    import torch

    rows = prompts('%llguidance {}\nstart: "a" "b" "c"\n')
    rewards = iter(range(1000))
    trainer, _ = trained("grpo", model, tmp_path, rows, lambda _: float(next(rewards)), beta=0.0)
    before = weights(trainer)
    trainer.train()
    after = weights(trainer)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_texts_for_held_out_prompts_are_of_their_grammar(model: Path, tmp_path: Path) -> None:
    from autoflow.core.model import Message
    from autoflow.training.sampling import sample

    rows = prompts(GRAMMAR, None)
    settings = config("grpo", model, typed=True)
    trainer = made(settings, tmp_path, score=scoring(len), prompts=rows[1:], held_out=rows[:1])
    look = partial(sample, trainer.model, trainer.processing_class, temperature=1.0, max_tokens=8)
    held, free = (
        {look([[Message("user", row["prompt"][0]["content"])]], seed=seed)[0].text for seed in range(12)}
        for row in rows
    )
    assert held <= LANGUAGE
    assert len(held) > 3
    assert free - LANGUAGE


def test_it_says_where_nothing_can_be_typed(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no prompt has a grammar"):
        trained("grpo", model, tmp_path, prompts(None), len)
    settings = config("grpo", model, typed=True, shared_prompt=False)
    with pytest.raises(UsageError, match="typed"):
        made(settings, tmp_path, score=scoring(len), prompts=prompts(GRAMMAR))
