"""What the user has of OpenAGI's models and data: options, doctor, fetching; and the benchmark's commands."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from openagi_helpers import TASKS, goal, part

from autoflow.benchmarks import held_out, loader
from autoflow.benchmarks.examination import examine
from autoflow.cli.main import main
from autoflow.core.json import Json
from autoflow.errors import AutoflowError, DataError, ProviderError, UnknownNameError, UsageError

# -- options


def test_options_have_their_defaults_and_are_checked(tmp_path: Path) -> None:
    read = part("options").read
    defaults = examine("openagi", {}).options
    assert read(defaults) == part("options").Options()
    given = read({**defaults, "absent": ["colorization", "Fill-Mask"], "data": str(tmp_path), "limit_samples": 3})
    assert given.absent == {"Colorization", "Fill Mask"}
    assert (given.data, given.limit_samples) == (tmp_path, 3)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"index_mode": "shifted"}, UnknownNameError, "there are: aligned, paper-offset"),
        ({"vit_metric": "dot"}, UnknownNameError, "there are: cosine, paper-distance"),
        ({"absent": ["Colourisation"]}, UnknownNameError, "there are: Image Super Resolution"),
        ({"absent": 3}, UsageError, "is a list of modules"),
        ({"limit_samples": 0}, UsageError, "a whole number from 1"),
        ({"batch_size": True}, UsageError, "a whole number from 1"),
        ({"revisions": "main"}, UsageError, "maps hub repositories to commits"),
        ({"data": "no/such/folder"}, DataError, "there is no folder no/such/folder"),
        ({"colour": "red"}, UnknownNameError, "index_mode"),
    ],
)
def test_option_that_does_not_fit_is_an_error(options: dict[str, Json], error: type[AutoflowError], said: str) -> None:
    with pytest.raises(error, match=said):
        loader.load("openagi", options=options)


def test_published_offset_sends_the_next_sentence_with_this_tasks_goal() -> None:
    aligned = held_out.load_split("openagi", "all")
    offset = held_out.load_split("openagi", "all", options={"index_mode": "paper-offset"})
    assert [task.text for task in offset[:-1]] == [task.text for task in aligned[1:]]
    assert offset[-1].text == aligned[-1].text
    assert [task.reference for task in offset] == [task.reference for task in aligned]
    assert (
        loader.load("openagi").fingerprint != loader.load("openagi", options={"index_mode": "paper-offset"}).fingerprint
    )


def test_prepared_data_are_part_of_the_tasks(tmp_path: Path) -> None:
    (tmp_path / "116" / "inputs").mkdir(parents=True)
    (tmp_path / "116" / "inputs" / "text.txt").write_text("good\n")
    one = loader.load("openagi", options={"data": str(tmp_path)})
    (tmp_path / "116" / "inputs" / "text.txt").write_text("bad\n")
    other = loader.load("openagi", options={"data": str(tmp_path)})
    assert one.fingerprint != other.fingerprint


# -- doctor


def test_doctor_says_of_every_model_metric_and_data_set_whether_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOFLOW_CACHE", str(tmp_path))
    found = {finding.name: finding for finding in examine("openagi", {}).findings}
    modules = part("modules").MODULES
    assert [name for name in found if name.startswith("local: ")] == [
        *(f"local: {name}" for name in modules), "local: data"
    ]  # fmt: skip
    assert [name for name in found if name.startswith("paper: ")] == [
        *(f"paper: {name}" for name in modules),
        "paper: CLIP score", "paper: BERT score", "paper: ViT figures", "paper: data", "paper: translator",
    ]  # fmt: skip
    assert "no implementation in this set; blocks 88 of 185 tasks: 0, 1" in found["local: Colorization"].detail
    restormer = found["paper: Image Denoising"]
    assert not restormer.present
    assert "non-commercial" in restormer.detail
    assert "blocks 88 of 185" in restormer.detail
    assert "100 MB" in restormer.detail
    assert found["paper: data"].remedy == "autoflow openagi prepare, then --data FOLDER"
    if importlib.util.find_spec("transformers") is not None:
        assert "revision not known" in found["paper: ViT figures"].detail
    assert found["local: Image Denoising"].present is (importlib.util.find_spec("cv2") is not None)
    assert all(finding.present or finding.remedy or "no implementation" in finding.detail for finding in found.values())


def test_doctor_counts_the_tasks_whose_data_are_missing(tmp_path: Path) -> None:
    (tmp_path / "106" / "inputs").mkdir(parents=True)
    (tmp_path / "106" / "inputs" / "captions.txt").write_text("a cat\n")
    findings = examine("openagi", {"data": str(tmp_path)}).findings
    (data,) = [finding for finding in findings if finding.name == "paper: data"]
    assert "blocks 184 of 185 tasks: 0, 1, 2, 3, 4, ..." in data.detail


def test_doctor_command_shows_options_and_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "openagi", "--benchmark-option", "batch_size=2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    sections = {section["title"]: section["items"] for section in document["sections"]}
    assert {"name": "option batch_size", "state": "ok", "detail": "2", "remedy": None} in sections["benchmark openagi"]
    names = [item["name"] for item in sections["what openagi can use"]]
    assert "paper: Machine Translation" in names
    assert main(["doctor", "gsm8k"]) in (0, 2)
    assert "what gsm8k" not in capsys.readouterr().out


# -- fetching


def test_of_a_repository_only_what_is_used_is_fetched() -> None:
    wanted = part("fetch").wanted
    both = ["README.md", "config.json", "vocab.txt", "model.safetensors", "pytorch_model.bin", "tf_model.h5"]
    assert wanted(both) == ["config.json", "model.safetensors", "vocab.txt"]
    assert wanted(["config.json", "spiece.model", "pytorch_model.bin", "rust_model.ot", "onnx/model.json"]) == [
        "config.json", "pytorch_model.bin", "spiece.model"
    ]  # fmt: skip
    diffusion = [
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.bin",
        "safety_checker/model.safetensors",
        "flax/unet/x.json",
    ]
    assert wanted(diffusion) == [
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.bin",
    ]


def test_fetching_takes_what_is_not_here_at_its_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="needs autoflow[hub]: huggingface-hub is not installed")
    fetch, expert = part("fetch"), part("expert")
    asked: list[Any] = []
    monkeypatch.setattr(hub.HfApi, "list_repo_files", lambda self, name, revision: ["config.json", "model.safetensors"])
    real = hub.snapshot_download

    def download(name: str, **arguments: Any) -> str:
        if arguments.get("local_files_only"):
            return str(real(name, cache_dir=tmp_path / "none", **arguments))
        asked.append((name, arguments["revision"], arguments["allow_patterns"]))
        return ""

    monkeypatch.setattr(hub, "snapshot_download", download)
    own = tmp_path / "openai-community--gpt2"
    own.mkdir()
    (own / "config.json").write_text("{}")
    (own / "model.safetensors").write_bytes(b"")
    site = expert.Site(weights=tmp_path, revisions={"facebook/bart-large-cnn": "abc"})
    said: list[str] = []
    names = ["openai-community/gpt2", "facebook/bart-large-cnn", "google-t5/t5-base"]
    assert fetch.fetch(names, site, said.append) == names[1:]
    assert asked == [
        ("facebook/bart-large-cnn", "abc", ["config.json", "model.safetensors"]),
        ("google-t5/t5-base", "a9723ea", ["config.json", "model.safetensors"]),
    ]
    assert "already there" in said[0]
    assert "about 892 MB" in said[2]
    with pytest.raises(UnknownNameError, match="there are: caidas"):
        fetch.fetch(["meta/llama"], site, said.append)

    def refused(self: Any, name: str, revision: str) -> Any:
        raise OSError("no network")

    monkeypatch.setattr(hub.HfApi, "list_repo_files", refused)
    with pytest.raises(ProviderError, match="t5-base cannot be fetched: no network"):
        fetch.fetch(["google-t5/t5-base"], site, said.append)


# -- from the command line


@pytest.fixture
def script(tmp_path: Path) -> str:
    """A model that gives the reference plan of every covered task, in the order of its sentence."""
    covered = [task for task in TASKS if part("samples").Bundled().covers(goal(task), task)]
    rules = [
        {
            "when": TASKS[task].text,
            "replies": [json.dumps([str(token) for token in part("reference").flat(goal(task))])],
        }
        for task in covered
    ]
    (tmp_path / "script.yaml").write_text(json.dumps(rules))
    return f"scripted/{tmp_path / 'script.yaml'}"


def test_bench_runs_plans_on_real_pictures_and_leaves_them_side_by_side(
    script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("PIL", "cv2", "skimage", "vaderSentiment"):
        pytest.importorskip(package, reason=f"needs autoflow[openagi-light]: {package} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOFLOW_CACHE", str(tmp_path / "cache"))
    absent = [name for name in part("expert").expert_set("local") if not _light(name)]
    command = [
        "bench", "openagi", "--workflow", "openagi/zero", "--interpreter", script, "--scorer", "local",
        "--tasks", "11,13,14,116", "--limit-samples", "2", "--run", "run",
        "--benchmark-option", f"absent={json.dumps(absent)}",
    ]  # fmt: skip
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("local score (")
    assert " on openagi, split local: " in shown.splitlines()[0]
    assert "unscored 1 of 4, of which not covered 1" in shown
    assert "by metric:\n  PSNR/SSIM score: 0." in shown
    assert "by plan length:" not in shown
    assert "mean PSNR gain over the damaged pictures, dB: " in shown
    assert "comparable with published numbers: no" in shown
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "run" / "images").iterdir()) == ["11", "13"]
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    rows = {row["id"]: row for row in report["rows"]}
    assert rows["14"]["reason"] == "not_covered"
    assert rows["13"]["details"]["pictures"].startswith("images/13-")
    assert rows["13"]["details"]["samples"][0]["gain_psnr_db"] > 0
    assert rows["116"]["details"]["samples"][0]["output"] == "POSITIVE"
    counts = json.loads((tmp_path / "run" / "experts.json").read_text())
    assert counts["loads"] == {"Image Denoising": 1, "Image Deblurring": 1, "Sentiment Analysis": 1}
    assert counts["samples from the cache"] == {}
    before = (tmp_path / "run" / "report.json").read_bytes()
    assert main(command) == 0
    assert (tmp_path / "run" / "report.json").read_bytes() == before
    # Another run of the same plans finds their outputs, and loads no model.
    assert main([*command[:-4], "--run", "other", *command[-2:]]) == 0
    counts = json.loads((tmp_path / "other" / "experts.json").read_text())
    assert (counts["loads"], counts["samples run"]) == ({}, {})
    assert counts["samples from the cache"] == {"Image Denoising": 2, "Image Deblurring": 2, "Sentiment Analysis": 2}


def _light(name: str) -> bool:
    """Whether an expert loads without torch and quickly."""
    return name in ("Image Denoising", "Image Deblurring", "Sentiment Analysis")


def test_plan_report_is_broken_down_by_kind_and_length(
    script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["bench", "openagi", "--workflow", "openagi/zero", "--interpreter", script, "--split", "local"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "plan score on openagi, split local: 1.000" in shown
    assert "by form:\n  linear: 1.000" in shown
    assert "by plan length:\n  1: 1.000" in shown
    assert "  image-text: 1.000" in shown
    assert "plans equal to the derived reference (ours, not official): 1.000" in shown


def test_missing_packages_end_the_command_before_a_model_is_asked(
    script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    command = ["bench", "openagi", "--workflow", "openagi/zero", "--interpreter", script, "--scorer", "local"]
    assert main(command) == 2
    shown = capsys.readouterr().err
    assert "error[missing-dependency]: the scorer local needs the package pillow" in shown
    assert not (tmp_path / "runs").exists()


def test_flags_and_benchmark_options_mean_the_same(
    script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start = ["bench", "openagi", "--list", "--json"]
    assert main([*start, "--index-mode", "paper-offset"]) == 0
    by_flag = capsys.readouterr().out
    assert main([*start, "--benchmark-option", "index_mode=paper-offset"]) == 0
    assert capsys.readouterr().out == by_flag
    assert main(start) == 0
    assert capsys.readouterr().out != by_flag
    assert main(["bench", "openagi", "--list", "--benchmark-option", "colour=red"]) == 2
    assert "unknown option of benchmark openagi 'colour'" in capsys.readouterr().err


def test_execute_runs_given_plans_without_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start = ["openagi", "execute", "--scorer", "plan", "--split", "all"]
    assert main(start) == 0
    assert "plan score on openagi, split all: 1.000" in capsys.readouterr().out
    assert main([*start, "--plan", "without:image-denoising", "--tasks", "13,12,14"]) == 0
    shown = capsys.readouterr().out
    assert "reasons: parse_empty 1, unmet_requirement 1" in shown
    assert "No model planned: every task was given its plan (without:image-denoising)" in shown
    assert main([*start, "--plan", "reversed", "--tasks", "9"]) == 0
    assert "order_fault" in capsys.readouterr().out
    assert main([*start, "--plan", "Image Deblurring, Image Denoising", "--tasks", "9"]) == 0
    assert "order_fault" in capsys.readouterr().out
    assert main([*start, "--plan", "Sharpen"]) == 2
    assert "there are: reference, reversed, without:MODULE, Image Super Resolution" in capsys.readouterr().err


def test_reproduce_runs_the_published_experiment_for_every_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workflow = "autoflow: 1\nname: written\nsteps:\n  - {name: plan, type: terminal, instruction: Output the plan.}\n"
    (tmp_path / "writer.yaml").write_text(json.dumps([{"replies": [workflow]}]))
    (tmp_path / "solver.yaml").write_text(json.dumps([{"replies": ['["Image Denoising"]']}]))
    command = [
        "openagi", "reproduce", "--set", "workflows=openagi/zero",
        "--set", "interpreters=scripted/solver.yaml", "--set", "generators=scripted/writer.yaml",
        "--set", 'options={"form": "yaml"}', "--set", "rounds=1", "--set", "candidates=1", "--set", "baselines=[]",
        "--set", "train_limit=1", "--set", "validation_limit=1", "--set", "test_limit=3", "--set", "seeds=[0,1]",
        "--run", "run",
    ]  # fmt: skip
    assert main([*command, "--estimate"]) == 0
    assert capsys.readouterr().out.startswith("estimate: ")
    assert not (tmp_path / "run").exists()
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "autoflow.experiment/1"
    assert (document["state"], document["seeds"]) == ("complete", [0, 1])
    assert [cell["row"] for cell in document["cells"]] == ["openagi-zero", "in-context by scripted/writer.yaml"]
    assert [row["score"] for row in document["published"]["rows"]] == [0.2483, 0.3597, 0.6104, 0.6501]
    assert (tmp_path / "run" / "seed-1" / "report.json").is_file()
    assert main(command) == 0
    shown = capsys.readouterr()
    assert "2 seeds; the estimate is of the first\nestimate: nothing to do, " in shown.err
    assert "Published: AutoFlow (arXiv:2407.12821)" in shown.out
    assert "Comparable: no. " in shown.out
    assert json.loads((tmp_path / "run" / "report.json").read_text())["cells"] == document["cells"]
    assert main(["openagi", "reproduce", "--set", "round=3"]) == 2
    assert "round: no such key; there are: benchmark, scorer," in capsys.readouterr().err
