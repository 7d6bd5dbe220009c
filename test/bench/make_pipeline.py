"""Writes a Stable Diffusion pipeline of random weights for the benchmark: python make_pipeline.py small|sd15 FOLDER (diffusers 0.42)

small: the shapes of the studio's own text-to-image model (resources/diffusion-default), 64 px. sd15: those of Stable Diffusion 1.5, in f16, as its files have
them; PyTorch's side of the benchmark holds them in the f32 that it multiplies in.
"""

import pathlib
import sys

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

tokenizers = pathlib.Path(__file__).parent.parent / "models" / "data" / "diffusion" / "tokenizers"
kind, folder = sys.argv[1], sys.argv[2]
torch.manual_seed(0)
ATTENDING, PLAIN = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"), ("DownBlock2D", "UpBlock2D")
if kind == "small":
    blocks, widths, layers, heads = [PLAIN, ATTENDING, ATTENDING], (64, 128, 160), 1, 4
    vae, text, positions = (32, 64, 96), dict(hidden_size=256, intermediate_size=1024, num_hidden_layers=4, num_attention_heads=4), 32
else:
    blocks, widths, layers, heads = [ATTENDING, ATTENDING, ATTENDING, PLAIN], (320, 640, 1280, 1280), 2, 8
    vae, text, positions = (128, 256, 512, 512), dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12), 77
unet = UNet2DConditionModel(
    **{"sample_size": 16 if kind == "small" else 64, "layers_per_block": layers, "block_out_channels": widths, "attention_head_dim": heads},
    down_block_types=tuple(down for down, _ in blocks),
    up_block_types=tuple(up for _, up in reversed(blocks)),
    cross_attention_dim=text["hidden_size"],
)
pipeline = StableDiffusionPipeline(
    unet=unet,
    vae=AutoencoderKL(
        block_out_channels=vae,
        layers_per_block=layers,
        down_block_types=("DownEncoderBlock2D",) * len(vae),
        up_block_types=("UpDecoderBlock2D",) * len(vae),
    ),
    text_encoder=CLIPTextModel(CLIPTextConfig(vocab_size=1714, max_position_embeddings=positions, eos_token_id=2, **text)),
    tokenizer=CLIPTokenizer.from_pretrained(tokenizers / "sd", model_max_length=positions),
    scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1),
    **{"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
)
if kind == "sd15":
    pipeline.to(torch.float16)
pipeline.save_pretrained(folder)
