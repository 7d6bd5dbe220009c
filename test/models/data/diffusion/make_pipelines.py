"""Makes tiny random Stable Diffusion pipelines by diffusers, in half precision, with what they make of texts and of one step:
python make_pipelines.py (diffusers 0.42, transformers 5.24, torch 2.13; as make_unets.py, after make_texts.py)"""

import math
import pathlib
import shutil

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

here = pathlib.Path(__file__).parent
PROMPTS = ["a photo of a cat", ""]


def spread(model):
    with torch.no_grad():
        for name, value in model.named_parameters():
            scale = 0.9 / math.sqrt(value[0].numel()) if value.ndim > 1 else 0.2
            value.copy_((torch.randn_like(value) * scale + (1.0 if "norm" in name and name.endswith("weight") else 0.0)).half().float())
    return model.eval()


def text(build, **config):
    own = dict(vocab_size=1714, hidden_size=4, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=12)
    return spread(build(CLIPTextConfig(**own, **config)))


def tokenizer(kind: str):
    return CLIPTokenizer.from_pretrained(here / "tokenizers" / kind)


def unet(**config):
    types = dict(down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"))
    return spread(UNet2DConditionModel(sample_size=4, norm_num_groups=2, block_out_channels=(4, 4), layers_per_block=1, attention_head_dim=2, **types, **config))


def case(kind: str) -> None:
    torch.manual_seed(5)
    vae = spread(AutoencoderKL(block_out_channels=(4, 4), layers_per_block=1, norm_num_groups=2, down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2))
    shared = dict(vae=vae, scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1))
    one = dict(text_encoder=text(CLIPTextModel, eos_token_id=2), tokenizer=tokenizer("sd"))
    if kind == "sd":
        pipe = StableDiffusionPipeline(**shared, **one, unet=unet(cross_attention_dim=4), safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    else:
        two = dict(text_encoder_2=text(CLIPTextModelWithProjection, projection_dim=6, hidden_act="gelu", eos_token_id=1713), tokenizer_2=tokenizer("sdxl"))
        added = dict(addition_embed_type="text_time", addition_time_embed_dim=4, projection_class_embeddings_input_dim=30, use_linear_projection=True)
        pipe = StableDiffusionXLPipeline(**shared, **one, **two, unet=unet(cross_attention_dim=8, **added))
    folder = here / "pipelines" / kind
    shutil.rmtree(folder, ignore_errors=True)
    pipe.to(torch.float16).save_pretrained(folder)
    pipe.to(torch.float32)
    for name in ("tokenizer", "tokenizer_2"):
        # They are those of make_texts.py: they lie there once.
        shutil.rmtree(folder / name, ignore_errors=True)
    if kind == "sd":
        context, pooled = pipe.encode_prompt(PROMPTS, "cpu", 1, False)[0], None
    else:
        context, _, pooled, _ = pipe.encode_prompt(PROMPTS, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    sample = torch.randn(2, 4, 4, 4)
    sizes = torch.tensor([[8.0, 8, 0, 0, 8, 8], [16, 12, 1, 2, 8, 8]])
    more = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}} if kind == "sdxl" else {}
    out = pipe.unet(sample, torch.tensor([3, 801]), encoder_hidden_states=context, **more).sample
    tensors = {"context": context, "sample": sample, "out": out, "sizes": sizes, "picture": pipe.vae.decode(out / pipe.vae.config.scaling_factor).sample}
    if pooled is not None:
        tensors["pooled"] = pooled
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / "expected.safetensors")


case("sd")
case("sdxl")
