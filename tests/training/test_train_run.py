"""Whole training runs: from a file and flags to weights with their provenance, stopped and resumed on the way."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from training_helpers import make_model

from autoflow.cli.main import main
from autoflow.core.budget import Budget
from autoflow.errors import RunError, UsageError
from autoflow.models.scripted import Rule, Scripted
from autoflow.training.config import TrainConfig
from autoflow.training.train import Collaborators, TrainEvent, train

pytestmark = [
    pytest.mark.xdist_group("training"),  # torch is slow to import: once is enough
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]

BENCHMARK = """\
name: colours
description: Name the colour.
data:
  jsonl: tasks.jsonl
  fields: {text: text, reference: {answer: answer}}
splits:
  train: [0, 1]
  validation: [2, 3]
scorer: exact
baseline: hand.yaml
"""

HAND = """\
autoflow: 1
name: hand-written
steps:
  - name: answer
    type: terminal
    instruction: Name the colour.
"""

DEMONSTRATION = '{"steps": [["Go.", "generate"]], "answer": ""}'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("bytes"), letters=None)


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    place = tmp_path / "colours"
    place.mkdir()
    (place / "benchmark.yaml").write_text(BENCHMARK)
    (place / "hand.yaml").write_text(HAND)
    tasks = [("the sky", "blue"), ("grass", "green")] * 2
    (place / "tasks.jsonl").write_text("".join(f"{json.dumps({'text': t, 'answer': a})}\n" for t, a in tasks))
    rows = [
        {
            "prompt": [{"role": "user", "content": f"Kind {number}"}],
            "completion": [{"role": "assistant", "content": DEMONSTRATION}],
        }
        for number in range(6)
    ]
    (tmp_path / "data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "interpreter.yaml").write_text("- replies: [blue]\n")
    return place


def collaborators(events: list[TrainEvent] | None = None, **changes: Any) -> Collaborators:
    kept: list[TrainEvent] = [] if events is None else events
    return Collaborators(
        open_model=lambda spec: Scripted([Rule(("blue",))], name=spec), **{"on_event": kept.append, **changes}
    )


def sft(model: Path, colours: Path, **changes: Any) -> TrainConfig:
    trainer = {"max_steps": 4, "per_device_train_batch_size": 2, "packing": False, "learning_rate": 1e-2}
    values = {
        "method": "sft",
        "model": str(model),
        "data": [str(colours.parent / "data.jsonl")],
        "lora": {"rank": 2, "dropout": 0.1},
        "trainer": {**trainer, **changes.pop("trainer", {})},
    }
    return TrainConfig.model_validate({**values, **changes})


def adapter(folder: Path) -> bytes:
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes()


def test_grpo_from_the_command_line(
    model: Path, colours: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "grpo.yaml"
    file.write_text(
        f"model: {model}\nlora: {{rank: 2}}\ntrainer: {{max_completion_length: 8, learning_rate: 1e-4, max_steps: 9}}\n"
    )
    command = ["train", "grpo", str(file), "--benchmark", str(colours), "--steps", "2", "--run", str(tmp_path / "run")]
    command += ["--interpreter", f"scripted/{tmp_path / 'interpreter.yaml'}", "--json"]
    assert main(command) == 0
    out, err = capfd.readouterr()
    report = json.loads(out)
    assert (report["state"], report["steps"], report["samples"]) == ("complete", 2, 16)
    assert report["metrics"]["learning_rate"] == 1e-4
    assert "step 2/2: reward -0.100 (sd 0.000), loss" in err
    assert "1 group without spread" in err
    told = json.loads((tmp_path / "run" / "adapter" / "provenance.json").read_text())
    assert told["base"]["name"] == str(model)
    assert len(told["base"]["sha256"]) == 64
    assert list(told["data"]) == [str(colours)]
    assert told["config"]["trainer"]["max_steps"] == 2
    assert told["metrics"]["reward"] == pytest.approx(-0.1, abs=1e-5)
    assert (told["steps"], told["samples"]) == (2, 16)
    written = (tmp_path / "run" / "report.json").read_bytes()
    assert main(command) == 0  # nothing is left to do
    assert json.loads(capfd.readouterr().out) == report
    assert (tmp_path / "run" / "report.json").read_bytes() == written


async def test_a_stopped_run_goes_on_to_the_same_weights_and_report(model: Path, colours: Path, tmp_path: Path) -> None:
    config = sft(model, colours)
    whole = await train(config, collaborators(), folder=tmp_path / "whole")
    stop = asyncio.Event()

    def after_two(event: TrainEvent) -> None:
        if event.logs.get("step") == 2:
            stop.set()

    stopped = await train(config, collaborators(on_event=after_two, stop=stop), folder=tmp_path / "stopped")
    assert (stopped.state, stopped.exit_code, stopped.weights) == ("interrupted", 130, None)
    assert 2 <= stopped.steps < 4
    events: list[TrainEvent] = []
    resumed = await train(config, collaborators(events), folder=tmp_path / "stopped")
    assert events[0].kind == "resumed"
    assert resumed.state == "complete"
    assert adapter(tmp_path / "stopped") == adapter(tmp_path / "whole")
    files = [(tmp_path / name / "report.json").read_text() for name in ("stopped", "whole")]
    assert files[0] == files[1]
    assert whole.seconds > 0


async def test_a_checkpoint_that_was_not_finished_is_passed_over(model: Path, colours: Path, tmp_path: Path) -> None:
    config = sft(model, colours, trainer={"save_steps": 1, "save_total_limit": None})
    await train(config, collaborators(), folder=tmp_path / "run")
    whole = adapter(tmp_path / "run")
    for name in ("report.json", "checkpoints/checkpoint-4/autoflow.json", "adapter/adapter_model.safetensors"):
        (tmp_path / "run" / name).unlink()
    (tmp_path / "run" / "checkpoints" / "checkpoint-4" / "optimizer.pt").write_bytes(b"half")
    events: list[TrainEvent] = []
    await train(config, collaborators(events), folder=tmp_path / "run")
    assert [event.logs["step"] for event in events if event.kind == "step"] == [4]
    assert adapter(tmp_path / "run") == whole


async def test_another_configuration_is_refused(model: Path, colours: Path, tmp_path: Path) -> None:
    config = sft(model, colours, trainer={"max_steps": 1})
    await train(config, collaborators(), folder=tmp_path / "run")
    with pytest.raises(RunError, match="seed: 0 in the folder, 1 now"):
        await train(config.model_copy(update={"seed": 1}), collaborators(), folder=tmp_path / "run")


async def test_a_budget_that_ends_is_a_state_and_more_of_it_resumes(model: Path, colours: Path, tmp_path: Path) -> None:
    config = TrainConfig.model_validate(
        {
            "method": "reinforce",
            "model": str(model),
            "tasks": {"benchmarks": [str(colours)]},
            "lora": {"rank": 2},
            "reward": "minus-baseline",
            "interpreter": {"model": "scripted/blue"},
            "trainer": {"max_steps": 1, "max_completion_length": 4},
        }
    )
    short = await train(config, collaborators(), budget=Budget(calls=1), folder=tmp_path / "run")
    assert (short.state, short.exit_code, short.steps) == ("budget", 6, 0)
    events: list[TrainEvent] = []
    full = await train(config, collaborators(events), budget=Budget(calls=9), folder=tmp_path / "run")
    assert (full.state, full.spend.calls) == ("complete", 2)
    assert "the hand-written workflow of colours scores 0.500 on validation" in [event.message for event in events]
    assert full.metrics["reward"] == pytest.approx(-0.6, abs=1e-5)


async def test_training_ends_when_held_out_samples_no_longer_improve(
    model: Path, colours: Path, tmp_path: Path
) -> None:
    held_out = {"benchmarks": [str(colours)], "every": 1, "patience": 2}
    config = sft(model, colours, held_out=held_out, trainer={"max_steps": 9, "max_completion_length": 8})
    with pytest.raises(UsageError, match="no argument 'max_completion_length'"):
        await train(config, collaborators(), folder=tmp_path / "wrong")
    config = sft(model, colours, held_out={**held_out, "max_tokens": 8}, trainer={"max_steps": 9})
    events: list[TrainEvent] = []
    report = await train(config, collaborators(events), folder=tmp_path / "run")
    looks = [event for event in events if event.kind == "look"]
    # Before the first update, then after each: the first of these is the best, two more do not beat it.
    assert [event.logs["step"] for event in looks] == [0, 1, 2, 3]
    assert looks[0].message == "step 0/9: held out: score 0.000, valid 0%"
    assert report.steps == 3
    assert {"start_score", "start_valid", "best_score", "best_step"} <= set(report.metrics)


async def test_a_cancelled_run_lets_go_of_its_folder(model: Path, colours: Path, tmp_path: Path) -> None:
    begun = asyncio.Event()

    def on_event(event: TrainEvent) -> None:
        if event.kind == "step":
            begun.set()

    config = sft(model, colours, trainer={"max_steps": 200, "save_steps": 500})
    running = asyncio.create_task(train(config, collaborators(on_event=on_event), folder=tmp_path / "run"))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    from autoflow.runs.folder import info

    assert info(tmp_path / "run").state == "interrupted"


def test_misuse_is_told_with_what_would_fit(
    model: Path, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = ["--benchmark", str(colours), "--interpreter", f"scripted/{tmp_path / 'interpreter.yaml'}"]
    assert main(["train", "grpo", "--model", str(tmp_path / "nowhere"), *shared, "--run", str(tmp_path / "a")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    flags = ["--model", str(model), "--set", "trainer.learning_rat=1", "--run", str(tmp_path / "b")]
    assert main(["train", "grpo", *shared, *flags]) == 2
    assert "did you mean learning_rate?" in capsys.readouterr().err


async def test_an_abandoned_thread_ends_wherever_it_is() -> None:
    import threading
    import time

    from autoflow.training.bridge import Abandoned, Bridge, in_thread

    ended: list[type[BaseException]] = []
    busy = threading.Event()

    def computing(bridge: Bridge) -> None:
        busy.set()
        try:
            while True:
                time.sleep(0.001)
        except BaseException as error:
            ended.append(type(error))
            raise

    def waiting(bridge: Bridge) -> None:
        busy.set()
        try:
            bridge.wait_for(asyncio.sleep(3600))
        except BaseException as error:
            ended.append(type(error))
            raise

    for work in (computing, waiting):
        busy.clear()
        running = asyncio.create_task(in_thread(work))
        await asyncio.to_thread(busy.wait)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert ended == [Abandoned, Abandoned]
    assert not any(thread.name == "autoflow-trainer" for thread in threading.enumerate())
