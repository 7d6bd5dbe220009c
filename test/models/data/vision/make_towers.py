"""Makes tiny random models with pictures by transformers, keeps only what sees, and puts its features and gradients beside it:
python make_towers.py (transformers 5.24, torch 2.15)"""

import json
import pathlib
import shutil
import tempfile

import torch
from safetensors.torch import load_file, save_file
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

here = pathlib.Path(__file__).parent / "towers"
torch.manual_seed(5)
LLAMA = dict(hidden_size=12, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, vocab_size=40)
VISION = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, patch_size=4)


def spread(model) -> None:
    """Weights of the size that trained ones have, no norm at 1 and no bias at 0."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            scale = 0.3 if value.ndim > 1 else 0.2
            value.copy_(torch.randn_like(value) * scale + (1.0 if "norm" in name and name.endswith("weight") and "soft_emb" not in name else 0.0))


def see(name: str, model, **inputs) -> None:
    """Its features, and the gradient of sum(features * direction) by the connector's weights and by a tower's."""
    model.eval()
    spread(model)
    features = model.model.get_image_features(**inputs, return_dict=True).pooler_output
    features = torch.cat(list(features)) if isinstance(features, (list, tuple)) else features.reshape(-1, features.shape[-1])
    direction = torch.randn_like(features)
    model.zero_grad()
    (features * direction).sum().backward()
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as whole:
        model.save_pretrained(whole)
        saved = load_file(pathlib.Path(whole) / "model.safetensors")
        config = json.loads((pathlib.Path(whole) / "config.json").read_text())
    seeing = {key: value for key, value in saved.items() if any(part in key for part in ("vision", "visual", "connector", "projector"))}
    print(name, *sorted(seeing)[:60:9], len(seeing))
    save_file(seeing, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    own = dict(model.named_parameters())
    gradients = {}
    for key, value in own.items():
        if value.grad is not None and any(part in key for part in ("merger.mlp.2.weight", "modality_projection.proj.weight", "linear_2.weight", "mm_input_projection_weight", "layers.0.mlp.fc1.weight", "blocks.0.attn.qkv.weight", "layers.0.self_attn.k_proj.weight", "layers.0.self_attn.q_proj.weight")):
            gradients["gradient:" + key] = value.grad.contiguous()
    expected = {"features": features.detach(), "direction": direction, **gradients}
    expected.update({key: value.contiguous() for key, value in inputs.items() if value.is_floating_point()})
    save_file({key: value.contiguous().float() for key, value in expected.items()}, folder / "expected.safetensors")


pixels = torch.rand(2, 3, 16, 16) * 2 - 1
see(
    "idefics3",
    Idefics3ForConditionalGeneration(Idefics3Config(vision_config=dict(**VISION, image_size=16), text_config=LlamaConfig(**LLAMA), scale_factor=2, image_token_id=39, pad_token_id=0)),
    pixel_values=pixels[None],
)
see(
    "llava",
    LlavaForConditionalGeneration(LlavaConfig(vision_config=CLIPVisionConfig(**VISION, image_size=16), text_config=LlamaConfig(**LLAMA), image_token_index=39, vision_feature_layer=-2)),
    pixel_values=pixels,
)
see(
    "gemma3",
    Gemma3ForConditionalGeneration(Gemma3Config(
        vision_config=SiglipVisionConfig(**VISION, image_size=16, vision_use_head=False).to_dict(),
        text_config=dict(hidden_size=12, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8, vocab_size=60),
        mm_tokens_per_image=4, boi_token_index=50, eoi_token_index=51, image_token_index=52,
    )),
    pixel_values=pixels,
)
# Two pictures, neither of whole windows: 6 x 10 and 4 x 4 patches, windows of 4 x 4.
grids = torch.tensor([[1, 6, 10], [1, 4, 4]])
see(
    "qwen2.5-vl",
    Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(
        vision_config=dict(depth=3, hidden_size=16, intermediate_size=24, num_heads=2, patch_size=4, window_size=16, out_hidden_size=12, fullatt_block_indexes=[1]),
        text_config=dict(hidden_size=12, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, vocab_size=40, rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 1], "rope_theta": 1e4}),
        image_token_id=39, video_token_id=38, vision_start_token_id=37, vision_end_token_id=36,
    )),
    pixel_values=torch.rand(76, 3 * 2 * 4 * 4) * 2 - 1,
    image_grid_thw=grids,
)
