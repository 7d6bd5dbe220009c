"""Makes tiny random models that take pictures by transformers, with their logits and, by PEFT, a LoRA's gradients on two texts with
three pictures: python make_models.py (transformers 5.24, peft 0.21, torch 2.15)"""

import pathlib
import shutil

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import (
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    SiglipVisionConfig,
)

here = pathlib.Path(__file__).parent / "models"
torch.manual_seed(7)
LLAMA = dict(hidden_size=12, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, vocab_size=40)
VISION = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, patch_size=4, image_size=16)
IMAGE = 39
SITES = ["q_proj", "v_proj", "o_proj", "down_proj"]


def texts(*sizes: int):
    """One with two pictures and one with one, of so many tokens each, padded; labels on the answer."""
    first, second, third = [[IMAGE] * size for size in sizes]
    rows = [([3, *first, 5, *second, 6, 7], [8, 9, 10, 2]), ([4, 11, *third, 12], [13, 2])]
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    pad = lambda values, filler: values + [filler] * (longest - len(values))
    ids = torch.tensor([pad(prompt + answer, 0) for prompt, answer in rows])
    labels = torch.tensor([pad([-100] * len(prompt) + answer, -100) for prompt, answer in rows])
    mask = torch.tensor([pad([1] * (len(prompt) + len(answer)), 0) for prompt, answer in rows])
    return ids, labels, mask


def make(name: str, model, sizes: list[int], inside: str, pixels, kind=None, **given) -> None:
    """`kind`: what its forward calls a mask of picture tokens, where it needs one."""
    model.eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            value.copy_(torch.randn_like(value) * (0.3 if value.ndim > 1 else 0.2) + (1.0 if "norm" in key and key.endswith("weight") else 0.0))
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model.requires_grad_(False)
    lora = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, target_modules=rf".*{inside}.*\.({'|'.join(SITES)})"))
    lora.eval()
    adapted = {key: value for key, value in lora.named_parameters() if "lora_" in key}
    with torch.no_grad():
        for value in adapted.values():
            value.copy_(torch.randn_like(value) * 0.3)
    ids, labels, mask = texts(*sizes)
    if kind:
        given[kind] = (ids == IMAGE).long()
    out = lora(input_ids=ids, attention_mask=mask, labels=labels, **given)
    out.loss.backward()
    expected = {"logits": out.logits, "loss": out.loss.reshape(1), "ids": ids.float(), "labels": labels.float(), "mask": mask.float(), "pixels": pixels}
    for key, value in adapted.items():
        # ...layers.<i>.<part>.<site>.lora_A.default.weight; B [out, r] is one head's
        parts = key.split(".")
        at = f"layers.{parts[parts.index('layers') + 1]}.{parts[-4]}.{parts[-3][-1]}"
        shape = (lambda tensor: tensor[None]) if at.endswith(".B") else (lambda tensor: tensor)
        expected[at] = shape(value)
        expected[f"gradient:{at}"] = shape(value.grad)
    save_file({key: value.detach().contiguous() for key, value in expected.items()}, folder / "expected.safetensors")
    print(name, len(adapted), out.loss.item())


pixels = torch.rand(3, 3, 16, 16) * 2 - 1
nothing = torch.zeros(1, 3, 16, 16)  # what stands in a batch for a picture that a text doesn't have
make(
    "idefics3",
    Idefics3ForConditionalGeneration(Idefics3Config(vision_config=VISION, text_config=LlamaConfig(**LLAMA), scale_factor=2, image_token_id=IMAGE, pad_token_id=0)),
    [4] * 3,
    "text_model",
    pixels,
    pixel_values=torch.stack([pixels[:2], torch.cat([pixels[2:], nothing])]),
)
make(
    "llava",
    LlavaForConditionalGeneration(LlavaConfig(vision_config=CLIPVisionConfig(**VISION), text_config=LlamaConfig(**LLAMA), image_token_index=IMAGE, vision_feature_layer=-2)),
    [16] * 3,
    "language_model",
    pixels,
    pixel_values=pixels,
)
# A window that a picture's first tokens, and the text behind it, look out of.
make(
    "gemma3",
    Gemma3ForConditionalGeneration(Gemma3Config(
        vision_config=SiglipVisionConfig(**VISION, vision_use_head=False).to_dict(),
        text_config={**LLAMA, "head_dim": 8, "sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"]},
        mm_tokens_per_image=4, boi_token_index=36, eoi_token_index=37, image_token_index=IMAGE,
    )),
    [4] * 3,
    "language_model",
    pixels,
    kind="token_type_ids",
    pixel_values=pixels,
)
# Of 4 x 4, 2 x 6 and 6 x 4 patches.
grids = torch.tensor([[1, 4, 4], [1, 2, 6], [1, 6, 4]])
patches = torch.rand(52, 3 * 2 * 4 * 4) * 2 - 1
make(
    "qwen2.5-vl",
    Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(
        vision_config=dict(depth=2, hidden_size=16, intermediate_size=24, num_heads=2, patch_size=4, window_size=16, out_hidden_size=12, fullatt_block_indexes=[1]),
        text_config={**LLAMA, "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 1], "rope_theta": 1e4}},
        image_token_id=IMAGE, video_token_id=38, vision_start_token_id=37, vision_end_token_id=36,
    )),
    [4, 3, 6],
    "language_model",
    patches,
    kind="mm_token_type_ids",
    pixel_values=patches,
    image_grid_thw=grids,
)
