"""Writes paintings.json: the latents and pictures that diffusers' pipelines make of given noise in 20 steps, on the tiny models of
make_pipelines.py: PYTHONPATH=PACKAGES python make_paintings.py (diffusers 0.42, transformers 5.24, torch 2.13; as make_noise.py)"""

import json
import math
import pathlib
import shutil
import tempfile
import warnings

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.utils import logging

warnings.filterwarnings("ignore")
logging.set_verbosity_error()
here = pathlib.Path(__file__).parent
SIZES = {"height": 8, "width": 16}


def noise(pictures: int) -> torch.Tensor:
    """[pictures, height, width, channels] of a formula, as PyTorch has it."""
    size = pictures * 4 * 8 * 4
    values = torch.tensor([1.4 * math.sin(1 + 2.3 * i + 0.37 * i * i) for i in range(size)])
    return values.reshape(pictures, 4, 8, 4).permute(0, 3, 1, 2).contiguous()


def opened(kind: str):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(here / "pipelines" / kind, folder, dirs_exist_ok=True)
        shutil.copytree(here / "tokenizers" / "sd", pathlib.Path(folder) / "tokenizer")
        if kind == "sdxl":
            shutil.copytree(here / "tokenizers" / "sdxl", pathlib.Path(folder) / "tokenizer_2")
        built = StableDiffusionPipeline if kind == "sd" else StableDiffusionXLPipeline
        pipe = built.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


CASES = [
    ("sd", "ddim", DDIMScheduler, {}, 4.0, ["a photo of a cat", "a photo"], "a cat"),
    ("sd", "euler", EulerDiscreteScheduler, {}, 1.0, ["a photo of a cat"], ""),
    ("sdxl", "dpm++-2m-karras", DPMSolverMultistepScheduler, {"use_karras_sigmas": True}, 5.0, ["a photo of a cat"], None),
    ("sdxl", "dpm++-2m", DPMSolverMultistepScheduler, {}, 3.0, ["a photo of a cat"], "a photo"),
]
written = []
for kind, sampler, scheduler, more, guidance, prompts, negative in CASES:
    pipe = opened(kind)
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config, **more)
    told = dict(**SIZES, num_inference_steps=20, guidance_scale=guidance, negative_prompt=None if negative is None else [negative] * len(prompts))
    with torch.no_grad():
        latents = pipe(prompts, latents=noise(len(prompts)), output_type="latent", **told).images
        picture = pipe(prompts, latents=noise(len(prompts)), output_type="np", **told).images
    written.append(
        {
            **{"kind": kind, "sampler": sampler, "guidance": guidance, "prompts": prompts, "negative": negative or ""},
            "latents": [float(f"{v:.7g}") for v in latents.permute(0, 2, 3, 1).flatten().tolist()],
            "picture": [round(255 * v, 3) for v in picture.flatten().tolist()],
        }
    )
    print(kind, sampler, latents.abs().max().item())
(here / "paintings.json").write_text("[\n" + ",\n".join(" " + json.dumps(one) for one in written) + "\n]\n")
