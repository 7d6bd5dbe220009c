"""Makes tiny random models that take pictures and have a tokenizer, so that whole prompts can be put to them: python make_talking.py
(transformers 5.24, tokenizers 0.22, torch 2.15). The tokenizer has a token for two line breaks, without which llama.cpp can't write
the tiles of a picture."""

import pathlib
import shutil

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    SiglipVisionConfig,
)

here = pathlib.Path(__file__).parent / "talking"
shutil.rmtree(here, ignore_errors=True)
TILES = [f"<row_{row + 1}_col_{column + 1}>" for row in range(4) for column in range(4)]
SPECIAL = ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>", *TILES, "<start_of_image>", "<end_of_image>", "<image_soft_token>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
plain = Tokenizer(models.BPE())
plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
plain.decoder = decoders.ByteLevel()
text = ["User: What is in the picture?\n\nAssistant: A red square.\n\n"]
plain.train_from_iterator(text * 3, trainers.BpeTrainer(vocab_size=330, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))


def tokenizer(**more):
    return PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<end_of_utterance>", pad_token="<end_of_utterance>", additional_special_tokens=SPECIAL, extra_special_tokens=more)


NAMES = ["<end_of_utterance>", "<image>", "<start_of_image>", "<end_of_image>", "<image_soft_token>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
end, image, begin, stop, soft, seen, unseen, pad, film = tokenizer().convert_tokens_to_ids(NAMES)
VISION = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, patch_size=4, image_size=16)
TEXT = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, vocab_size=len(tokenizer()), bos_token_id=None, eos_token_id=end, pad_token_id=end)


def make(name: str, model, *processors) -> None:
    torch.manual_seed(11)
    with torch.no_grad():
        for key, value in model.named_parameters():
            value.copy_(torch.randn_like(value) * 0.2 + (1.0 if "norm" in key and key.endswith("weight") and name != "gemma3" else 0.0))
    model.save_pretrained(here / name)
    for processor in processors:
        processor.save_pretrained(here / name)
    (here / name / "generation_config.json").unlink(missing_ok=True)
    print(name, len(tokenizer()), sum(value.numel() for value in model.parameters()))


make(
    "idefics3",
    Idefics3ForConditionalGeneration(Idefics3Config(vision_config=VISION, text_config=LlamaConfig(**TEXT), scale_factor=2, image_token_id=image, pad_token_id=end)),
    Idefics3Processor(Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 16}), tokenizer(), image_seq_len=4),
)
make(
    "llava",
    LlavaForConditionalGeneration(LlavaConfig(vision_config=CLIPVisionConfig(**VISION), text_config=LlamaConfig(**TEXT), image_token_index=image, vision_feature_layer=-2)),
    LlavaProcessor(CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}), tokenizer(), patch_size=4, vision_feature_select_strategy="default", num_additional_image_tokens=1),
)
make(
    "gemma3",
    Gemma3ForConditionalGeneration(Gemma3Config(
        vision_config=SiglipVisionConfig(**VISION, vision_use_head=False).to_dict(),
        text_config={**TEXT, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 64, "tie_word_embeddings": True},
        mm_tokens_per_image=4, boi_token_index=begin, eoi_token_index=stop, image_token_index=soft,
    )),
    Gemma3Processor(Gemma3ImageProcessorPil(size={"height": 16, "width": 16}), tokenizer(image_token="<image_soft_token>", boi_token="<start_of_image>", eoi_token="<end_of_image>"), image_seq_length=4),
)
# Without transformers' own processor, which asks for what films are prepared with, too.
make(
    "qwen2.5-vl",
    Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(
        vision_config=dict(depth=2, hidden_size=16, intermediate_size=24, num_heads=2, patch_size=14, window_size=112, out_hidden_size=32, fullatt_block_indexes=[1]),
        text_config={**TEXT, "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}},
        image_token_id=pad, video_token_id=film, vision_start_token_id=seen, vision_end_token_id=unseen,
    )),
    Qwen2VLImageProcessorPil(size={"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280}),
    tokenizer(image_token="<|image_pad|>"),
)
