"""The paper's data, built from small data sets of our own making by the published procedure."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoflow.cli.main import main
from autoflow.errors import DataError, UnknownNameError, UsageError

for _package in ("PIL", "skimage"):
    pytest.importorskip(_package, reason=f"needs autoflow[openagi-light]: {_package} is not installed")

from openagi_helpers import TASKS, goal, part  # noqa: E402
from PIL import Image  # noqa: E402


def _picture(seed: int, height: int = 40, width: int = 60) -> Any:
    """Smooth, so that noise and blur show."""
    rows, columns = np.mgrid[0:height, 0:width]
    shades = [128 + 100 * np.sin((rows * (seed + 1) + columns * k) / 30.0) for k in (1, 2, 3)]
    return np.clip(np.stack(shades, -1), 0, 255).astype(np.uint8)


def _records(count: int = 3) -> dict[str, list[Any]]:
    record = part("sources").Record
    return {
        "imagenet": [record(picture=_picture(n), label=f"class {n}, other name") for n in range(count)],
        "coco": [record(picture=_picture(n), text=f"a caption\nof {n}", objects="cat, cat, dog") for n in range(count)],
        "cnn_dailymail": [record(text=f"long article number {n}", label=f"summary {n}") for n in range(count)],
        "sst2": [record(text=f"a fine film {n}", label="positive") for n in range(count)],
        "textvqa": [record(picture=_picture(n), query=f"what is {n} ?", label=f"it is {n}") for n in range(count)],
        "squad": [record(text=f"context {n}", query=f"who is {n} ?", label=f"somebody {n}") for n in range(count)],
    }


def _german(texts: list[str]) -> list[str]:
    return [f"de: {text}" for text in texts]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _read(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data")
    done = part("prepare").prepare(out, _records(), range(185), seed=7, translate=_german)
    assert len(done.made) == 185
    return out


def test_every_task_has_all_that_it_needs(folder: Path) -> None:
    samples = part("samples").Prepared(folder)
    for task in TASKS:
        assert samples.missing(goal(task), task) == []
        loaded = samples.load(goal(task), task, 2)
        assert [sample.name for sample in loaded] == ["0", "1"]
        for sample in loaded:
            types = ["text" if isinstance(value, str) else "image" for value in sample.inputs]
            assert types == TASKS[task].context["inputs"]
            assert all(isinstance(value, str) or value.shape == (256, 256, 3) for value in sample.inputs)
        drawing = goal(task).core == "Text to Image Generation"
        assert bool(loaded[0].answers) is (goal(task).output == "text")
        assert (loaded[0].original is not None) is (goal(task).output == "image" and not drawing)


def test_layout_is_the_published_one(folder: Path) -> None:
    assert sorted(path.relative_to(folder).as_posix() for path in (folder / "177").rglob("*.*")) == [
        "177/inputs/context.txt",
        "177/inputs/questions.txt",
        "177/outputs/answers.txt",
    ]
    assert (folder / "105" / "inputs" / "captions.txt").is_file()
    assert not (folder / "105" / "outputs").exists()
    assert sorted(path.name for path in (folder / "0" / "outputs" / "images").iterdir()) == ["0.jpg", "1.jpg", "2.jpg"]
    assert (folder / "117" / "inputs" / "images" / "0.jpg").is_file()
    assert (folder / "107" / "inputs" / "text.txt").is_file()


def test_references_are_what_the_task_asks_in_its_language(folder: Path) -> None:
    find = {task.text: identity for identity, task in TASKS.items()}

    def reference(sentence: str) -> str:
        (path,) = (folder / find[f"Given {sentence} step by step?"] / "outputs").glob("*.txt")
        return _lines(path)[1]

    assert reference("noisy image, how to return the class label in English") == "class 1, other name"
    assert reference("noisy image, how to return the class label in German") == "de: class 1, other name"
    assert reference("noisy image, how to return the caption in English") == "a caption of 1"
    assert reference("noisy image, how to return the object names in English") == "cat, cat, dog"
    assert reference("English text, how to translate the text in German") == "de: a caption of 1"
    assert reference("English text, how to return the summarization in English") == "summary 1"
    assert reference("clozed English text, how to return the sentiment in German") == "de: positive"
    assert reference("noisy image and English query, how to answer the question in English") == "it is 1"
    assert reference("English document and clozed English query, how to answer the question in German") == (
        "de: somebody 1"
    )


def test_one_random_word_of_a_clozed_text_is_masked_and_nothing_else(folder: Path) -> None:
    for task, file, words in (("110", "text.txt", 4), ("117", "questions.txt", 4), ("177", "context.txt", 2)):
        for line in _lines(folder / task / "inputs" / file):
            assert line.split(" ").count("[MASK]") == 1
            assert len(line.split(" ")) == words
    assert "[MASK]" not in (folder / "115" / "inputs" / "text.txt").read_text()
    places = {line.split(" ").index("[MASK]") for t in range(117, 177) for line in _lines_if(folder, t)}
    assert places == {0, 1, 2, 3}


def _lines_if(folder: Path, task: int) -> list[str]:
    lines = _lines(folder / str(task) / "inputs" / "questions.txt")
    return [line for line in lines if "[MASK]" in line]


def test_stated_defects_alone_are_there(folder: Path) -> None:
    original = _read(folder / "14" / "outputs" / "images" / "0.jpg").astype(float)

    def damaged(task: str) -> Any:
        return _read(folder / task / "inputs" / "images" / "0.jpg").astype(float)

    def colour(picture: Any) -> float:
        return float(np.abs(picture - picture.mean(axis=2, keepdims=True)).mean())

    def roughness(picture: Any) -> float:
        return float(np.abs(np.diff(picture, axis=1)).mean())

    for task in range(15):
        defects = goal(str(task)).inputs[0].defects
        assert (colour(damaged(str(task))) < 3.0) is ("grayscale" in defects), task
    # Noise alone, blur alone, compression alone.
    noisy, blurry, low = damaged("13"), damaged("11"), damaged("14")
    assert roughness(noisy) > 1.3 * roughness(original)
    assert roughness(blurry) < roughness(original)
    assert (folder / "14/inputs/images/0.jpg").stat().st_size < (folder / "14/outputs/images/0.jpg").stat().st_size
    assert np.abs(low - original).mean() < 12
    # At its own size: it is the reading that brings it to 256 x 256.
    assert noisy.shape == (40, 60, 3)


def test_noise_is_the_published_speckle() -> None:
    degrade = part("degrade")
    flat = np.full((200, 200, 3), 128, dtype=np.uint8)
    noisy = degrade.load(degrade.degrade(flat, ("noisy",), np.random.default_rng(0))).astype(float) / 255
    # Multiplicative: the spread is the square root of 0.005 times the shade, less what JPEG and resizing smooth away.
    assert 0.3 * 0.0707 * 0.5 < noisy.std() < 0.0707 * 0.5 * 1.1
    assert abs(noisy.mean() - 0.5) < 0.01
    black = degrade.degrade(np.zeros((64, 64, 3), dtype=np.uint8), ("noisy",), np.random.default_rng(0))
    assert degrade.load(black).max() <= 2


def test_equal_seeds_give_equal_bytes_and_others_do_not(folder: Path, tmp_path: Path) -> None:
    prepare, samples = part("prepare"), part("samples")
    prepare.prepare(tmp_path / "again", _records(), range(185), seed=7, translate=_german)
    assert samples.fingerprint(tmp_path / "again") == samples.fingerprint(folder)
    prepare.prepare(tmp_path / "other", _records(), [13], seed=8)
    other = (tmp_path / "other" / "13" / "inputs" / "images" / "0.jpg").read_bytes()
    assert other != (folder / "13" / "inputs" / "images" / "0.jpg").read_bytes()


def test_task_that_is_there_is_kept_and_one_cut_off_is_made_again(tmp_path: Path) -> None:
    prepare = part("prepare")
    prepare.prepare(tmp_path, _records(), [116])
    (tmp_path / "116" / "inputs" / "text.txt").write_text("changed\n")
    (tmp_path / "115.new").mkdir()
    done = prepare.prepare(tmp_path, _records(), [115, 116])
    assert (done.made, done.kept) == (("115",), ("116",))
    assert _lines(tmp_path / "116" / "inputs" / "text.txt") == ["changed"]
    with pytest.raises(DataError, match="was prepared with"):
        prepare.prepare(tmp_path, _records(2), [114])


def test_german_without_a_translator_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="translator"):
        part("prepare").prepare(tmp_path, _records(), [15])
    assert not (tmp_path / "15").exists()


def test_malformed_data_is_named(tmp_path: Path) -> None:
    part("prepare").prepare(tmp_path, _records(), [116, 13])
    samples = part("samples").Prepared(tmp_path)
    (tmp_path / "116" / "outputs" / "labels.txt").write_text("only one\n")
    with pytest.raises(DataError, match=r"labels\.txt: has 1 samples, the first of the task's files 3"):
        samples.load(goal("116"), "116", None)
    (tmp_path / "13" / "inputs" / "images" / "1.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"images/1\.jpg: is no picture"):
        samples.load(goal("13"), "13", None)
    assert samples.missing(goal("14"), "14")[0].endswith("14/inputs/images")


# -- reading the data sets


def _write_rows(path: Path, rows: list[Mapping[str, Any]]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def test_sources_are_read_in_their_own_forms(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs autoflow[openagi]: datasets is not installed")
    import datasets

    open_source = part("sources").open_source
    squad = [
        {"context": f"c{n}", "question": f"q{n}", "answers": {"text": [f"a{n}", "b"], "answer_start": [0, 1]}}
        for n in range(3)
    ]
    records = open_source("squad", _write_rows(tmp_path / "squad.jsonl", squad), 2)
    assert [(record.text, record.query, record.label) for record in records] == [("c0", "q0", "a0"), ("c1", "q1", "a1")]
    names = datasets.ClassLabel(names=["negative", "positive"])
    reviews = datasets.Dataset.from_dict({"sentence": ["x", "y"], "label": [1, 0]}).cast_column("label", names)
    datasets.DatasetDict({"validation": reviews}).save_to_disk(str(tmp_path / "sst2"))
    assert [record.label for record in open_source("sst2", str(tmp_path / "sst2"), 2)] == ["positive", "negative"]
    news = datasets.Dataset.from_dict({"article": ["long"], "highlights": ["short"]})
    news.to_parquet(str(tmp_path / "news.parquet"))
    (record,) = open_source("cnn_dailymail", str(tmp_path / "news.parquet"), 1)
    assert (record.text, record.label) == ("long", "short")
    for name in ("cat", "dog"):
        (tmp_path / "imagenet" / name).mkdir(parents=True)
        Image.fromarray(_picture(1)).save(tmp_path / "imagenet" / name / "0.png")
    classes = open_source("imagenet", str(tmp_path / "imagenet"), 2)
    assert [record.label for record in classes] == ["cat", "dog"]
    assert (classes[0].picture == _picture(1)).all()


def test_coco_is_read_as_it_is_distributed(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017").mkdir()
    pictures = [{"id": number, "file_name": f"{number}.jpg"} for number in (30, 10, 20)]
    for item in pictures:
        Image.fromarray(_picture(int(item["id"]) // 10)).convert("L").save(
            tmp_path / "val2017" / str(item["file_name"])
        )
    captions = [{"image_id": n, "caption": f"{n} {k}\n"} for n in (30, 20, 10) for k in ("first", "second")]
    instances = {
        "categories": [{"id": 5, "name": "cat"}, {"id": 9, "name": "traffic light"}],
        "annotations": [{"image_id": 10, "category_id": c} for c in (9, 5, 9)] + [{"image_id": 30, "category_id": 5}],
    }
    files = {"captions": {"images": pictures, "annotations": captions}, "instances": instances}
    for name, content in files.items():
        (tmp_path / "annotations" / f"{name}_val2017.json").write_text(json.dumps(content))
    records = part("sources").open_source("coco", str(tmp_path), 2)
    assert [(record.text, record.objects) for record in records] == [
        ("10 first", "traffic light, cat, traffic light"),
        ("30 first", "cat"),
    ]
    assert records[0].picture.shape == (40, 60, 3)
    with pytest.raises(DataError, match="has 2 samples there, 3 are needed"):
        part("sources").open_source("coco", str(tmp_path), 3)


def test_faults_of_a_source_are_named(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs autoflow[openagi]: datasets is not installed")
    sources = part("sources")
    rows = _write_rows(tmp_path / "rows.jsonl", [{"title": "x"}])
    with pytest.raises(DataError, match="has no column 'context'; it has: title"):
        sources.open_source("squad", rows, 1)
    with pytest.raises(DataError, match=r"must be a \.parquet"):
        sources.open_source("squad", _write_rows(tmp_path / "rows.txt", []), 1)
    for name in ("n01440764", "n01443537"):
        (tmp_path / "imagenet" / name).mkdir(parents=True)
        Image.fromarray(_picture(1)).save(tmp_path / "imagenet" / name / "0.png")
    with pytest.raises(DataError, match="WordNet ids"):
        sources.open_source("imagenet", str(tmp_path / "imagenet"), 1)
    with pytest.raises(UnknownNameError, match="there are: imagenet, coco"):
        sources.parse(["imagnet=x"])
    with pytest.raises(UsageError, match="takes name=place"):
        sources.parse(["imagenet"])


def test_pictures_without_classes_do_for_restoration_alone(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs autoflow[openagi]: datasets is not installed")
    (tmp_path / "pictures").mkdir()
    for number in range(2):
        Image.fromarray(_picture(number)).save(tmp_path / "pictures" / f"{number}.png")
    records = {"imagenet": part("sources").open_source("imagenet", str(tmp_path / "pictures"), 2)}
    labelled = next(int(task) for task in TASKS if goal(task).core == "Image Classification")
    done = part("prepare").prepare(tmp_path / "data", records, [13])
    assert done.made == ("13",)
    with pytest.raises(DataError, match="ImageNet-1k, validation has not got there: Image Classification"):
        part("prepare").prepare(tmp_path / "data", records, [labelled])


def test_command_prepares_and_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["openagi", "prepare", "--out", "data", "--tasks", "0-1,184"]) == 2
    shown = capsys.readouterr().err
    assert "imagenet is ImageNet-1k, validation; squad is SQuAD 1.1, validation" in shown
    assert main(["openagi", "prepare", "--out", "data", "--tasks", "185"]) == 2
    pytest.importorskip("datasets", reason="needs autoflow[openagi]: datasets is not installed")
    rows = [{"context": f"c{n}", "question": f"q{n}", "answers": {"text": ["a"]}} for n in range(2)]
    place = _write_rows(tmp_path / "squad.jsonl", rows)
    command = ["openagi", "prepare", "--out", "data", "--tasks", "184", "--samples", "2", "--source", f"squad={place}"]
    assert main(command) == 0
    assert "1 tasks made, 0 kept" in capsys.readouterr().out
    assert _lines(tmp_path / "data" / "184" / "inputs" / "questions.txt") == ["q0", "q1"]


# -- bundled samples


def test_bundled_samples_are_whole_and_cover_what_they_say() -> None:
    samples = part("samples").Bundled()
    covered = [task for task in TASKS if samples.covers(goal(task), task)]
    assert len(covered) == 17
    for task in covered:
        assert samples.missing(goal(task), task) == []
        loaded = samples.load(goal(task), task, None)
        assert len(loaded) >= 5
        for sample in loaded:
            assert all(isinstance(value, str) or value.shape == (256, 256, 3) for value in sample.inputs)
            assert sample.answers or sample.original is not None
            assert all(answer.strip() for answer in sample.answers)
    assert len(samples.load(goal("13"), "13", 4)) == 4


def test_bundled_labels_are_imagenet_classes() -> None:
    names = part("local.classification").class_names()
    assert len(names) == 1000
    assert (names[0], names[-1]) == ("tench", "toilet tissue")
    labels = {answer for sample in part("samples").Bundled().load(goal("97"), "97", None) for answer in sample.answers}
    assert labels <= set(names)


def test_bundled_answers_are_in_their_documents() -> None:
    for sample in part("samples").Bundled().load(goal("184"), "184", None):
        document = sample.inputs[0].lower()
        assert any(answer.lower() in document for answer in sample.answers), sample.name


def test_bundled_noise_is_the_same_at_every_reading() -> None:
    first, second = (part("samples").Bundled().load(goal("13"), "13", 1)[0] for _ in range(2))
    assert (first.inputs[0] == second.inputs[0]).all()
    assert (first.inputs[0] != first.original).any()
