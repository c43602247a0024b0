"""The paper's models in miniature: the same architectures, random weights, laid out as the user would have them."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = (
    *("the", "a", "an", "is", "are", "was", "what", "who", "where", "which", "it", "in", "on", "of", "and", "to"),
    *("cat", "dog", "house", "river", "bridge", "red", "green", "old", "new", "young", "small", "large", "people"),
    *("man", "woman", "child", "answer", "question", "good", "bad", "sad", ".", ",", "?", "!", ":", "##s"),
)


def words(special: list[str], *, normal: bool = True) -> Tokenizer:
    """A tokenizer of whole words, `special` first."""
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys([*special, *WORDS]))}
    unknown = next(word for word in special if "unk" in word.lower())
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=50))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if normal:
        tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


def bert_tokenizer() -> Any:
    """With [CLS], [SEP], [MASK]."""
    tokenizer = words(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )


def sequence_tokenizer() -> Any:
    """With <s>, </s>, <pad>."""
    tokenizer = words(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


def vit_config(**changes: Any) -> Any:
    return transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        **changes,
    )


def vit_processor() -> Any:
    return transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})


def save(folder: Path, *parts: Any) -> None:
    for part in parts:
        part.save_pretrained(folder)


def distilbert(folder: Path, kind: Any, **changes: Any) -> None:
    tokenizer = bert_tokenizer()
    config = transformers.DistilBertConfig(
        vocab_size=len(tokenizer), dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=64, **changes
    )
    save(folder, kind(config), tokenizer)


def super_resolution(folder: Path) -> None:
    config = transformers.Swin2SRConfig(
        image_size=16, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4, upscale=2, upsampler="pixelshuffle"
    )
    save(folder, transformers.Swin2SRForImageSuperResolution(config), transformers.Swin2SRImageProcessorPil())


def classification(folder: Path) -> None:
    labels = {0: "tench", 1: "goldfish, Carassius auratus", 2: "tabby"}
    config = vit_config(num_labels=3, id2label=labels, label2id={name: number for number, name in labels.items()})
    save(folder, transformers.ViTForImageClassification(config), vit_processor())


def vit_model(folder: Path) -> None:
    save(folder, transformers.ViTForImageClassification(vit_config(num_labels=3)), vit_processor())


def captioning(folder: Path) -> None:
    tokenizer = sequence_tokenizer()
    decoder = transformers.GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_positions=64,
        add_cross_attention=True,
        is_decoder=True,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(vit_config(), decoder)
    network = transformers.VisionEncoderDecoderModel(config)
    for found in (network.config, network.generation_config):
        found.decoder_start_token_id, found.eos_token_id, found.pad_token_id = 0, 2, 1
    save(folder, network, vit_processor(), tokenizer)


def detection(folder: Path) -> None:
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], out_features=["stage4"]
    )
    labels = {number: f"thing {number}" for number in range(4)}
    config = transformers.DetrConfig(
        use_timm_backbone=False,
        backbone=None,
        use_pretrained_backbone=False,
        backbone_config=backbone,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=5,
        num_labels=4,
        id2label=labels,
        label2id={name: number for number, name in labels.items()},
    )
    processor = transformers.DetrImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 64})
    save(folder, transformers.DetrForObjectDetection(config), processor)


def question_about_picture(folder: Path) -> None:
    tokenizer = bert_tokenizer()
    labels = {number: f"answer {number}" for number in range(5)}
    config = transformers.ViltConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        image_size=32,
        patch_size=8,
        num_labels=5,
        id2label=labels,
        label2id={name: number for number, name in labels.items()},
    )
    processor = transformers.ViltImageProcessorPil(size={"shortest_edge": 32}, size_divisor=8)
    save(folder, transformers.ViltForQuestionAnswering(config), processor, tokenizer)


def bart(folder: Path) -> None:
    tokenizer = sequence_tokenizer()
    config = transformers.BartConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=2,
    )
    network = transformers.BartForConditionalGeneration(config)
    network.generation_config.max_length = 12
    save(folder, network, tokenizer)


def gpt2(folder: Path) -> None:
    tokenizer = sequence_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=48, bos_token_id=0, eos_token_id=2
    )
    save(folder, transformers.GPT2LMHeadModel(config), tokenizer)


def t5(folder: Path) -> None:
    tokenizer = sequence_tokenizer()
    config = transformers.T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    save(folder, transformers.T5ForConditionalGeneration(config), tokenizer)


def clip(folder: Path) -> None:
    tokenizer = sequence_tokenizer()
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 77,
        "eos_token_id": 2,
        "bos_token_id": 0,
        "pad_token_id": 1,
    }
    vision = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "image_size": 32,
        "patch_size": 8,
    }
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    pictures = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    save(folder, transformers.CLIPModel(config), transformers.CLIPProcessor(pictures, tokenizer))


def deberta(folder: Path) -> None:
    tokenizer = bert_tokenizer()
    config = transformers.DebertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
    )
    save(folder, transformers.DebertaModel(config), tokenizer)


def stable_diffusion(folder: Path) -> None:
    import diffusers

    tokenizer = sequence_tokenizer()
    tokenizer.model_max_length = 77
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            projection_dim=16,
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=1,
        )
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        latent_channels=4,
        norm_num_groups=4,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=diffusers.PNDMScheduler(skip_prk_steps=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)


def restormer(path: Path, network: Any) -> None:
    torch.save({"params": network.state_dict()}, path)


def record(folder: Path) -> dict[str, Any]:
    """A repository's configuration."""
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found
