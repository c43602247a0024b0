"""autoflow operators, and operator sets on the command line."""

import json
from pathlib import Path

import pytest
from test_cli_jobs import BENCHMARK, BETTER, HAND, INTERPRETER, TASKS, _generator

from autoflow.benchmarks import operator_sets
from autoflow.cli.main import main
from autoflow.operators.library import library

DEBATER = BETTER.replace("    type: terminal\n", "    type: terminal\n    operator: debate\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "colours"
    place.mkdir()
    (place / "benchmark.yaml").write_text(BENCHMARK)
    (place / "hand.yaml").write_text(HAND)
    lines = [json.dumps({"text": f"What colour is {thing}? ({i})", "answer": a}) for i, (thing, a) in enumerate(TASKS)]
    (place / "tasks.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "interpreter.yaml").write_text(INTERPRETER)
    (tmp_path / "generator.yaml").write_text(_generator(DEBATER))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_operators_are_listed_with_what_they_do_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operators"]) == 0
    shown = capsys.readouterr().out
    for name, operator in library().items():
        assert name in shown
        assert operator.card.description in shown
    assert f"sets: {', '.join(operator_sets.names())}" in shown
    assert main(["operators", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "autoflow.operators/1"
    found = {item["name"]: item for item in document["operators"]}
    assert set(found) == set(library())
    assert found["programmer"]["calls"] == "1-4"
    assert found["decompose"]["output"] == "list"
    assert found["python"]["parameters"]["code"]["type"] == "string"


def test_one_operator_is_shown_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operators", "ensemble"]) == 0
    shown = capsys.readouterr().out
    assert "samples: integer, minimum 1, maximum 50; default 5" in shown
    assert "agree: one of whole, last_line, number, meaning, vote; default" in shown
    assert "max_tokens: integer, minimum 1; default: the run's own" in shown
    assert "prompts/operators/vote.j2:\n{{ instruction }}" in shown
    assert main(["operators", "python"]) == 0
    assert "; required. Python that defines run(results, task)" in capsys.readouterr().out
    assert main(["operators", "programmer", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["prompts"]) == {"operators/programmer.j2", "operators/programmer_repair.j2"}


def test_a_set_and_a_benchmark_narrow_and_widen_the_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operators", "--set", "aflow-maths", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["operators"]
    assert [item["name"] for item in listed] == ["generate", "custom", "ensemble", "programmer"]
    assert main(["operators", "--benchmark", "openagi", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["operators"]
    assert {"Colorization", "debate"} <= {item["name"] for item in listed}
    assert {item["calls"] for item in listed if item["kind"] == "tool"} == {"0"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "unknown operator 'nope'"),
        (["--set", "nope"], "unknown operator set 'nope'"),
        (["ensemble", "--set", "adas"], "one of the two"),
    ],
)
def test_what_does_not_exist_is_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operators", *arguments]) == 2
    assert said in capsys.readouterr().err


# -- sets for generators

GENERATE = ["generate", "Name it.", "--generator", "scripted/generator.yaml", "--repairs", "0"]
IMPROVE = [
    "improve",
    "./colours",
    "--generator",
    "scripted/generator.yaml",
    "--interpreter",
    "scripted/interpreter.yaml",
]


def test_a_draft_may_use_the_operators_of_its_set_and_no_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(GENERATE) == 0
    assert main([*GENERATE, "--operators", "adas"]) == 0
    assert main([*GENERATE, "--operators", "metaflow"]) == 4
    assert '"debate", which does not exist' in capsys.readouterr().err
    (folder / "mine.yaml").write_text("- role\n- debate\n")
    assert main([*GENERATE, "--operators", "mine.yaml"]) == 0
    # A benchmark's name stands for its own set.
    assert main([*GENERATE, "--operators", "openagi"]) == 4
    assert main([*GENERATE, "--operators", "nope"]) == 2


def test_a_benchmark_s_set_holds_for_its_drafts_and_the_flag_goes_before_it(folder: Path) -> None:
    run = ["generate", "--benchmark", "./colours", *GENERATE[2:]]
    assert main(run) == 0
    (folder / "colours" / "benchmark.yaml").write_text(f"{BENCHMARK}operators: [generate, ensemble]\n")
    assert main(run) == 4
    assert main([*run, "--operators", "adas"]) == 0


def test_improve_keeps_to_the_set_and_a_person_s_workflow_does_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "colours" / "hand.yaml").write_text(HAND.replace("type: terminal", "type: terminal\n    operator: role"))
    options = ["--rounds", "1", "--option", "repairs=0", "--shortlist", "0", "--json"]
    assert main([*IMPROVE, *options, "--operators", "metaflow", "--run", "runs/a"]) == 0
    hand, draft = json.loads(capsys.readouterr().out)["rows"]
    assert hand["valid"]
    assert not draft["valid"]
    assert "debate" in draft["errors"][0]
    assert main([*IMPROVE, *options, "--operators", "adas", "--run", "runs/b"]) == 0
    assert [row["valid"] for row in json.loads(capsys.readouterr().out)["rows"]] == [True, True]
    # Another set is another run.
    assert main([*IMPROVE, *options, "--operators", "adas", "--run", "runs/a"]) == 2
    assert "operators" in capsys.readouterr().err
    assert main([*IMPROVE, *options, "--operators", "nope", "--run", "runs/c"]) == 2
