"""The paper's modules on tiny models of the same architectures: loading, what goes in, what comes out.

The real weights are not here: what they answer is untried.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

for _package in ("torch", "transformers", "diffusers", "torchmetrics", "bert_score", "skimage", "PIL"):
    pytest.importorskip(_package, reason=f"needs autoflow[openagi]: {_package} is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")
# The libraries warn of their own futures.

import numpy as np  # noqa: E402
import openagi_tiny as tiny  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from openagi_helpers import TASKS, answered, goal, part  # noqa: E402

from autoflow.core.score import Score  # noqa: E402
from autoflow.errors import MissingDependencyError  # noqa: E402

MAKERS: dict[str, Callable[[Path], None]] = {
    "caidas/swin2SR-classical-sr-x2-64": tiny.super_resolution,
    "google/vit-base-patch16-224": tiny.classification,
    "nlpconnect/vit-gpt2-image-captioning": tiny.captioning,
    "facebook/detr-resnet-101": tiny.detection,
    "CompVis/stable-diffusion-v1-4": tiny.stable_diffusion,
    "dandelin/vilt-b32-finetuned-vqa": tiny.question_about_picture,
    "distilbert/distilbert-base-cased-distilled-squad": lambda folder: tiny.distilbert(
        folder, transformers.DistilBertForQuestionAnswering
    ),
    "distilbert/distilbert-base-uncased-finetuned-sst-2-english": lambda folder: tiny.distilbert(
        folder,
        transformers.DistilBertForSequenceClassification,
        id2label={0: "NEGATIVE", 1: "POSITIVE"},
        label2id={"NEGATIVE": 0, "POSITIVE": 1},
    ),
    "facebook/bart-large-cnn": tiny.bart,
    "openai-community/gpt2": tiny.gpt2,
    "google-t5/t5-base": tiny.t5,
    "distilbert/distilbert-base-uncased": lambda folder: tiny.distilbert(folder, transformers.DistilBertForMaskedLM),
    "openai/clip-vit-base-patch16": tiny.clip,
    "microsoft/deberta-xlarge-mnli": tiny.deberta,
    "nateraw/vit-base-beans": tiny.vit_model,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, make in MAKERS.items():
        make(folder / name.replace("/", "--"))
    return folder


@pytest.fixture(scope="module")
def crew(weights: Path) -> Any:
    expert = part("expert")
    return part("crew").Crew(expert.expert_set("paper"), expert.Site(weights=weights))


def _picture(seed: int = 0, side: int = 24) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def _one(crew: Any, module: str, *operands: Any) -> Any:
    (output,) = crew.apply(module, [operands])
    assert not isinstance(output, part("crew").Failed), output
    return output


def test_set_has_all_fifteen_modules_on_the_published_models() -> None:
    found = part("expert").expert_set("paper")
    assert list(found) == list(part("modules").MODULES)
    named = {item.name for expert in found.values() for item in expert.weights}
    assert named == {
        *(name for name in MAKERS if name.split("/")[1] not in {
            "clip-vit-base-patch16", "deberta-xlarge-mnli", "vit-base-beans"
        }),
        "real_denoising.pth",
        "single_image_defocus_deblurring.pth",
        "siggraph17-df00044c.pth",
    }  # fmt: skip
    for expert in found.values():
        for item in expert.weights:
            assert item.licence
            assert (item.revision is None) == (item.source is not None)


def test_super_resolution_doubles_pictures_of_any_size(crew: Any) -> None:
    module = "Image Super Resolution"
    outputs = crew.apply(module, [(_picture(0, 24),), (_picture(1, 21),), (_picture(2, 24),)])
    assert [output.shape for output in outputs] == [(48, 48, 3), (42, 42, 3), (48, 48, 3)]
    assert (outputs[2] == _one(crew, module, _picture(2, 24))).mean() > 0.99


def test_classification_gives_a_label_of_the_model(crew: Any) -> None:
    outputs = crew.apply("Image Classification", [(_picture(seed, 30),) for seed in range(3)])
    assert set(outputs) <= {"tench", "goldfish, Carassius auratus", "tabby"}


def test_caption_is_text_without_marks(crew: Any) -> None:
    (caption,) = crew.apply("Image Captioning", [(_picture(),)])
    assert isinstance(caption, str)
    assert not {"<s>", "</s>", "<pad>"} & set(caption.split())


def test_detection_names_what_is_above_the_threshold(crew: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _one(crew, "Object Detection", _picture(0, 64)) == ""
    detection = part("paper.detection")
    monkeypatch.setattr(detection, "THRESHOLD", 0.0)
    names = _one(crew, "Object Detection", _picture(0, 64)).split(", ")
    assert len(names) == 5
    assert all(name.startswith("thing ") for name in names)


def test_text_to_image_is_256_wide_and_equal_for_equal_texts(crew: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part("paper.text_to_image"), "STEPS", 2)
    cat, dog = crew.apply("Text to Image Generation", [("a cat",), ("a dog",)])
    assert cat.shape == (256, 256, 3)
    assert (cat == _one(crew, "Text to Image Generation", "a cat")).mean() > 0.99
    assert (cat != dog).any()


def test_visual_question_answering_takes_picture_and_question(crew: Any) -> None:
    rows = [(_picture(0, 40), "what is in the house ?"), (_picture(1, 33), "who is it " * 60)]
    assert all(answer.startswith("answer ") for answer in crew.apply("Visual Question Answering", rows))


def test_answer_is_a_span_of_the_samples_own_document(crew: Any) -> None:
    rows = [
        ("who is old ?", "the old man is in the red house ."),
        ("where is the dog ?", "the small dog is in the river . " * 30),
        ("who ?", "a woman and a child"),
    ]
    for (_, document), answer in zip(rows, crew.apply("Question Answering", rows), strict=True):
        assert answer
        assert answer in " ".join(document.lower().split())


def test_best_span_is_in_order_and_inside() -> None:
    start, end = torch.tensor([9.0, 1.0, 5.0, 0.0]), torch.tensor([0.0, 9.0, 1.0, 2.0])
    allowed = torch.tensor([False, True, True, True])
    best = part("paper.question_answering").best_span
    assert best(start, end, allowed) == (1, 1)
    # The highest start lies behind the highest end: each alone would give an empty answer.
    assert best(torch.tensor([0.0, 0.0, 9.0]), torch.tensor([0.0, 9.0, 1.0]), torch.ones(3, dtype=torch.bool)) == (2, 2)


def test_sentiment_is_one_of_two_labels_whatever_the_length(crew: Any) -> None:
    outputs = crew.apply("Sentiment Analysis", [("good",), ("bad and sad " * 100,)])
    assert set(outputs) <= {"POSITIVE", "NEGATIVE"}


def test_summary_and_translation_keep_the_letters_at_their_ends(crew: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The published code strips the characters of the marks from both ends, which leaves "man b" of this.
    ids = [transformers.PreTrainedTokenizerFast.convert_tokens_to_ids(tiny.sequence_tokenizer(), word) for word in
           ("<pad>", "sad", "man", "bad", "</s>", "<pad>")]  # fmt: skip
    monkeypatch.setattr(transformers.GenerationMixin, "generate", lambda self, **arguments: torch.tensor([ids]))
    for module in ("Text Summarization", "Machine Translation"):
        assert _one(crew, module, "the old man is sad . " * 40) == "sad man bad"


def test_generated_text_has_no_marks(crew: Any) -> None:
    for module in ("Text Summarization", "Machine Translation"):
        output = _one(crew, module, "a red bridge . " * 40)
        assert isinstance(output, str)
        assert not {"</s>", "<pad>", "<s>"} & set(output.split())


def test_translation_prefixes_its_text(weights: Path) -> None:
    translation, expert = part("paper.translation"), part("expert")
    translate = translation.translator(translation.MODEL, expert.Site(weights=weights))
    assert len(translate(["the cat", "a dog"])) == 2
    assert translation.PREFIX == "translate English to German: "


def test_generation_keeps_its_prompt_and_adds_to_it_however_long(crew: Any) -> None:
    for prompt in ("the cat", "the old man " * 60, ""):
        output = _one(crew, "Text Generation", prompt)
        assert output.startswith(prompt)


def test_each_mask_gets_a_word_and_other_texts_stay(crew: Any) -> None:
    outputs = crew.apply("Fill Mask", [("the [MASK] is in the [MASK] .",), ("no mask here",), ("[MASK]",)])
    assert "[MASK]" not in outputs[0] or outputs[0].count("[MASK]") < 2
    assert outputs[0].startswith("the ")
    assert outputs[0].endswith(" .")
    assert outputs[1] == "no mask here"


def test_mask_far_inside_a_long_text_is_read_with_the_words_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fill = part("paper.fill_mask")
    before, after = " ".join(f"b{number}" for number in range(500)), ", " + " ".join(f"a{n}" for n in range(500))
    shown = fill.window(f"[MASK] {before} ", f"{after} [MASK]")
    assert shown.startswith("b400 ")
    assert " b499 [MASK], a0 " in shown
    assert shown.endswith("a98")
    assert shown.count("[MASK]") == 1


# -- the user's own downloads


def test_restormer_restores_any_size_and_loads_a_checkpoint(tmp_path: Path) -> None:
    restormer = part("paper.restormer")
    sizes: Any = {"width": 8, "depths": (1, 1, 1, 1), "refinement": 1}
    for norm_bias in (False, True):
        torch.manual_seed(0)
        network = restormer.Restormer(norm_bias=norm_bias, **sizes)
        tiny.restormer(tmp_path / "x.pth", network)
        loaded = restormer.load(tmp_path / "x.pth", norm_bias=norm_bias, **sizes)
        pictures = torch.rand(2, 3, 21, 16)
        restored = restormer.restore(loaded, pictures)
        assert restored.shape == pictures.shape
        assert torch.equal(restored, restormer.restore(network.eval(), pictures))
    with pytest.raises(RuntimeError, match="bias"):
        restormer.load(tmp_path / "x.pth", norm_bias=False, **sizes)


def test_restormer_that_changes_nothing_returns_the_picture() -> None:
    restormer = part("paper.restormer")
    network = restormer.Restormer(norm_bias=True, width=8, depths=(1, 1, 1, 1), refinement=1)
    torch.nn.init.zeros_(network.output.weight)
    pictures = torch.rand(1, 3, 16, 24)
    assert torch.equal(restormer.restore(network.eval(), pictures), pictures)


def test_networks_have_the_published_checkpoints_parameters() -> None:
    restormer, siggraph17 = part("paper.restormer"), part("paper.siggraph17")
    with torch.device("meta"):
        denoising, deblurring = (restormer.Restormer(norm_bias=bias) for bias in (False, True))
        colours = siggraph17.Siggraph17()
    # 26.1 million, as the paper's table 10 counts them.
    assert round(sum(item.numel() for item in deblurring.parameters()) / 1e6, 1) == 26.1
    names = set(denoising.state_dict())
    assert {
        "patch_embed.proj.weight",
        "encoder_level1.3.norm1.body.weight",
        "encoder_level2.5.attn.temperature",
        "encoder_level3.5.attn.qkv_dwconv.weight",
        "latent.7.ffn.project_out.weight",
        "down3_4.body.0.weight",
        "up2_1.body.0.weight",
        "reduce_chan_level2.weight",
        "decoder_level1.3.attn.project_out.weight",
        "refinement.3.ffn.dwconv.weight",
        "output.weight",
    } <= names
    assert not any(name.endswith("bias") for name in names)
    assert "encoder_level1.0.norm2.body.bias" in deblurring.state_dict()
    stored = colours.state_dict()
    # The checkpoint is 136.8 MB of 32-bit numbers.
    assert round(sum(item.numel() for item in stored.values()) * 4 / 1e6) == 137
    assert {
        "model1.0.weight",
        "model1.4.running_mean",
        "model5.4.weight",
        "model8up.0.bias",
        "model3short8.0.weight",
        "model8.1.weight",
        "model9.3.weight",
        "model10.1.weight",
        "model_class.0.weight",
        "model_out.0.weight",
    } <= set(stored)
    assert stored["model1.0.weight"].shape == (64, 4, 3, 3)


def test_colorization_keeps_lightness_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from skimage.color import rgb2lab

    siggraph17, colorization, expert = part("paper.siggraph17"), part("paper.colorization"), part("expert")
    torch.manual_seed(0)
    torch.save(siggraph17.Siggraph17(scale=8).state_dict(), tmp_path / colorization.CHECKPOINT.name)
    whole = siggraph17.load
    monkeypatch.setattr(siggraph17, "load", lambda path: whole(path, scale=8))
    apply = colorization.EXPERT.load(expert.Site(weights=tmp_path))
    grey = np.repeat(np.linspace(40, 200, 40 * 48).reshape(40, 48, 1), 3, axis=2).astype(np.uint8)
    (coloured,) = apply([(grey,)])
    assert coloured.shape == grey.shape
    assert np.abs(rgb2lab(coloured)[..., 0] - rgb2lab(grey)[..., 0]).mean() < 2.0
    # No stretch to the full range: a flat picture stays as dark as it was.
    flat = np.full((16, 16, 3), 90, dtype=np.uint8)
    assert abs(float(rgb2lab(apply([(flat,)])[0])[..., 0].mean() - rgb2lab(flat)[..., 0].mean())) < 2.0


@pytest.mark.slow
def test_restoration_experts_run_at_full_size(tmp_path: Path) -> None:
    expert, restormer = part("expert"), part("paper.restormer")
    for name, norm_bias in (("denoising", False), ("deblurring", True)):
        module = part(f"paper.{name}")
        tiny.restormer(tmp_path / module.CHECKPOINT.name, restormer.Restormer(norm_bias=norm_bias))
        (output,) = module.EXPERT.load(expert.Site(weights=tmp_path))([(_picture(0, 20),)])
        assert output.shape == (20, 20, 3)


# -- presence


def test_missing_weights_are_named_with_remedy_and_what_they_block(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    expert, presence = part("expert"), part("presence")
    site = expert.Site(weights=tmp_path)
    lines = [line for found in expert.expert_set("paper").values() for line in presence.blocked(found, site)]
    assert len(lines) == 15
    assert any("real_denoising.pth (non-commercial" in line and "swz30/Restormer" in line for line in lines)
    assert any("google-t5/t5-base" in line and "autoflow openagi fetch" in line for line in lines)
    with pytest.raises(MissingDependencyError, match="facebook/bart-large-cnn"):
        part("paper.hub").folder(part("paper.summarization").MODEL, site)


def test_weights_are_found_in_the_hubs_cache_at_their_revision(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    expert, presence = part("expert"), part("presence")
    item = expert.Weights("owner/name", "MIT", revision="abc1234")
    repository = tmp_path / "models--owner--name"
    snapshot = repository / "snapshots" / ("f" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "abc1234").write_text("f" * 40)
    site = expert.Site()
    assert presence.hub_folder(item, site) is None
    (snapshot / "config.json").write_text("{}")
    assert presence.hub_folder(item, site) is None
    (snapshot / "model.safetensors").write_bytes(b"")
    assert presence.hub_folder(item, site) == snapshot
    assert presence.hub_folder(item, replace(site, revisions={"owner/name": "0000000"})) is None
    assert presence.hub_folder(item, replace(site, revisions={"owner/name": "f" * 40})) == snapshot


# -- metrics


@pytest.fixture(scope="module")
def samples() -> list[Any]:
    sample = part("samples").Sample
    return [sample(str(seed), ("a red cat",), ("the old house",), _picture(seed, 32)) for seed in range(3)]


def test_clip_score_is_the_published_one(crew: Any, samples: list[Any], weights: Path) -> None:
    metric = part("metrics.clip").ClipScore(crew.site)
    pictures = [_picture(seed + 10, 32) for seed in range(3)]
    measured = [item.score for item in metric.measure(pictures, samples)]
    folder = weights / "openai--clip-vit-base-patch16"
    network = transformers.CLIPModel.from_pretrained(folder).eval()
    processor = transformers.CLIPProcessor.from_pretrained(folder)
    inputs = processor(text=["a red cat"] * 3, images=pictures, return_tensors="pt", padding=True)
    with torch.no_grad():
        cosines = (network(**inputs).image_embeds * network(**inputs).text_embeds).sum(dim=-1)
    assert measured == pytest.approx(cosines.tolist(), abs=1e-5)
    assert metric.batch(measured) == pytest.approx(max(float(100 * cosines.mean()), 0) / 100, abs=1e-5)
    assert metric.batch([-0.5, 0.1]) == 0.0


def test_bert_score_is_the_published_one(crew: Any, samples: list[Any], weights: Path) -> None:
    from bert_score import BERTScorer

    metric = part("metrics.bert").BertScore(crew.site, layer=2)
    measured = metric.measure(["the old house", "a dog in the river", "  "], samples)
    folder = str(weights / "microsoft--deberta-xlarge-mnli")
    scorer = BERTScorer(model_type=folder, num_layers=2, lang="en", device="cpu")
    _, _, f1 = scorer.score(["the old house", "a dog in the river"], ["the old house"] * 2)
    assert [item.score for item in measured[:2]] == pytest.approx([float(value) for value in f1], abs=1e-5)
    assert measured[0].score == pytest.approx(1.0, abs=1e-4)
    assert measured[2].score == 0.0
    assert part("metrics.bert").LAYER == 40


def test_vit_figures_are_the_published_distance_and_our_cosine(crew: Any, samples: list[Any], weights: Path) -> None:
    vit = part("metrics.vit")
    pictures = [samples[0].original, _picture(50, 32), _picture(51, 32)]
    distance = [item.score for item in vit.VitDistance(crew.site).measure(pictures, samples)]
    cosine = vit.VitCosine(crew.site).measure(pictures, samples)
    folder = weights / "nateraw--vit-base-beans"
    network = transformers.ViTModel.from_pretrained(folder).eval()
    processor = transformers.ViTImageProcessorPil.from_pretrained(folder)

    def hidden(images: list[Any]) -> Any:
        with torch.no_grad():
            return network(**processor(images=images, return_tensors="pt")).last_hidden_state.numpy()

    one, other = hidden(pictures), hidden([sample.original for sample in samples])
    published = [np.linalg.norm(a - b, ord="fro") / 100 for a, b in zip(one, other, strict=True)]
    assert distance == pytest.approx(published, abs=1e-5)
    assert distance[0] == pytest.approx(0.0, abs=1e-6)
    assert cosine[0].score == pytest.approx(1.0, abs=1e-5)
    assert 0.0 <= cosine[1].score < 1.0
    assert cosine[1].parts["paper_distance"] == pytest.approx(published[1], abs=1e-5)
    # A batch of one, on which the published code fails.
    assert vit.VitDistance(crew.site).measure(pictures[:1], samples[:1])[0].score == pytest.approx(0.0, abs=1e-6)


# -- the scorer


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Two samples of a restoring, a sentiment and a drawing task."""
    from PIL import Image

    for task, files in {
        "14": {"inputs/images": None, "outputs/images": None},
        "116": {"inputs/text.txt": "good\nbad", "outputs/labels.txt": "positive\nnegative"},
        "106": {"inputs/captions.txt": "a red cat\nan old house"},
    }.items():
        for name, text in files.items():
            path = tmp_path / task / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                path.write_text(f"{text}\n")
                continue
            path.mkdir()
            for index in range(2):
                Image.fromarray(_picture(index, 64)).save(path / f"{index}.jpg")
    return tmp_path


def _scorer(prepared: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    given = part("options").Options(data=prepared, weights=weights, device="cpu", **options)
    found = part("scorers").executed_scorer("paper", given)
    monkeypatch.setattr(part("metrics.bert"), "LAYER", 2)
    return replace(found, crew=part("crew").Crew(found.crew.experts, found.crew.site))


async def _run(scorer: Any, task: str) -> Score:
    plan = [str(token) for token in part("reference").flat(goal(task))]
    score = await scorer.score(TASKS[task], answered(plan))
    assert isinstance(score, Score)
    return score


async def test_paper_scorer_runs_plans_on_prepared_data(
    prepared: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part("paper.text_to_image"), "STEPS", 1)
    scorer = _scorer(prepared, weights, monkeypatch)
    for task, metric in (("14", "ViT cosine (ours)"), ("106", "CLIP score")):
        score = await _run(scorer, task)
        assert score.value is not None
        assert 0.0 <= score.value <= 1.0
        assert score.details["metric"] == metric
        assert scorer.groups(TASKS[task])["metric"] == metric
    facts = scorer.facts([])
    assert str(facts["comparable with published numbers"]).startswith("no: ")
    assert "ViT cosine, which is ours" in scorer.label


async def test_published_distance_is_no_score(prepared: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = _scorer(prepared, weights, monkeypatch, vit_metric="paper-distance")
    score = await _run(scorer, "14")
    assert (score.value, score.reason) == (None, "distance")
    assert isinstance(score.details["figure"], float)
    name = "ViT distance (lower is better, published as a score)"
    assert scorer.facts([(TASKS["14"], score)])[f"mean {name}"] == pytest.approx(score.details["figure"], abs=1e-5)


def test_paper_scorer_names_weights_and_data_that_are_missing(
    prepared: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from autoflow.benchmarks import loader
    from autoflow.errors import DataError

    with pytest.raises(DataError, match="needs the paper's data"):
        loader.load("openagi", scorer="paper")
    scorer = _scorer(prepared, weights, monkeypatch)
    with pytest.raises(MissingDependencyError) as caught:
        scorer.check([TASKS["116"]])
    assert {"real_denoising.pth", "single_image_defocus_deblurring.pth", "siggraph17-df00044c.pth"} <= set(
        caught.value.message.replace("(", " ").split()
    )
    assert "bart" not in caught.value.message
    absent = frozenset({"Image Denoising", "Image Deblurring", "Colorization"})
    scorer = _scorer(prepared, weights, monkeypatch, absent=absent)
    scorer.check([TASKS["116"], TASKS["0"]])
    with pytest.raises(DataError, match=r"115/inputs/text\.txt"):
        scorer.check([TASKS["115"]])
