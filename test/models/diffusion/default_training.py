"""Runs the training of the default text-to-image model on emoji that are plain squares, with networks made tiny: once straight through, once
killed and run on. Prints as JSON whether both end in the same numbers, and what diffusers' own pipeline makes of the folder."""

import argparse
import gzip
import json
import os
import pathlib
import signal
import sys
import tempfile

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image

sys.path.insert(0, sys.argv[1])
import folder as folders
import judge
import measure
import networks
import train
from samples import sampled
from sprites import Sprite

torch.set_num_threads(1)
blocks, latents = train.Perceptual, networks.LATENT
sides = {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}


def tiny_vae():
    return AutoencoderKL(**sides, block_out_channels=(4, 4, 4), layers_per_block=1, norm_num_groups=2, sample_size=64, scaling_factor=networks.SCALE)


def tiny_unet():
    kinds = {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")}
    return UNet2DConditionModel(**kinds, sample_size=16, block_out_channels=(4, 8), layers_per_block=1, cross_attention_dim=networks.WIDTH, attention_head_dim=2, norm_num_groups=2)


class Plain(torch.nn.Module):
    def __init__(self, _features):
        super().__init__()

    def forward(self, pictures, others):
        return (pictures - others).square().mean()


def squares(_packages):
    random = np.random.default_rng(5)
    made = []
    for name in ["dog", "apple", "green tree", "sunglasses", "house"]:
        image = Image.new("RGBA", (60, 60), (*(int(v) for v in random.integers(0, 256, 3)), 255))
        made += [Sprite([name], style, image, "", True, True, 1.0) for style in ("flat", "3d")]
    return made


networks.vae, networks.unet = tiny_vae, tiny_unet
train.Perceptual, train.load_lite0, train.load_sprites = Plain, lambda: None, squares


def run(out: pathlib.Path, **more) -> train.Training:
    clip = out.parent / "merges.gz"
    letters = networks._bytes()
    merges = ["d o", "do g</w>", *(f"{letters[i % 256]} {letters[200 + i // 256]}" for i in range(8000))]
    clip.write_bytes(gzip.compress("\n".join(["#version", *merges]).encode()))
    given = {"packages": None, "clip": clip, "out": out, "seed": 1, "threads": 1, "steps": [3, 3], "batch": [2, 2], "pictures": 8, "sheet_steps": 2}
    return train.Training(argparse.Namespace(**{**given, "save_seconds": 1e9, **more}))


def killed_after(out: pathlib.Path, saves: int) -> None:
    """A child that saves after every step, killed after so many of them."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        training = run(out, save_seconds=0)
        save = training.save
        training.save = lambda: (save(), os.write(tell, b"."))
        training.run()
        os._exit(0)
    os.close(tell)
    for _ in range(saves):
        if not os.read(told, 1):
            raise SystemExit("The training ended before it was to be killed.")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def weights(training: train.Training) -> dict:
    training.run()
    parts = {"vae": training.vae, "text": training.text, "unet": training.unet}
    last = {f"{part}.{name}": value for part, model in parts.items() for name, value in model.state_dict().items()}
    averages = {f"average of {part}.{name}": value for part, average in training.averages.items() for name, value in average.weights.items()}
    return {**last, **averages}


def drawn(out: pathlib.Path, place: pathlib.Path) -> dict:
    """By diffusers' pipeline from the folder, and by what the training draws its sheets with."""
    models, _ = folders.load_trained(out)
    folders.write_folder(place, models, out / "tokenizer")
    pipeline = StableDiffusionPipeline.from_pretrained(place, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    start = torch.randn((1, *latents), generator=torch.Generator().manual_seed(7))
    theirs = pipeline("a dog", num_inference_steps=4, guidance_scale=4.0, latents=start, output_type="pt").images[0] * 2 - 1
    halved = {part: model.half().float() for part, model in models.items()}
    ours = sampled(halved["vae"], pipeline.tokenizer, halved["text"], halved["unet"], ["a dog"], 7, 4)[0].clamp(-1, 1)
    return {"difference": (ours - theirs).abs().max().item(), "spread": theirs.std().item(), "tokens": len(pipeline.tokenizer), "ids": pipeline.tokenizer("a dog").input_ids}


def judging() -> dict:
    """The judge's weights with its batch norms folded against the network that was trained, and KID against its sums written out."""
    random = torch.Generator().manual_seed(11)
    pictures = torch.randn((6, 3, 64, 64), generator=random)
    learner = judge.Learner(3, 5)
    for norm in learner.norms:
        for value in (norm.weight.data, norm.running_var):
            value.uniform_(0.5, 2, generator=random)
        for value in (norm.bias.data, norm.running_mean):
            value.normal_(0, 0.3, generator=random)
    said, _ = learner.eval()(pictures)
    with torch.no_grad():
        _, folded = judge.judged({name: value.float() for name, value in learner.folded().items()}, pictures)
    a, b = torch.randn((4, 8), generator=random), torch.randn((5, 8), generator=random) + 0.5
    kernel = lambda x, y: (sum(float(p) * float(q) for p, q in zip(x, y)) / 8 + 1) ** 3
    mean = lambda values: sum(values) / len(values)
    among = lambda x: mean([kernel(p, q) for i, p in enumerate(x) for j, q in enumerate(x) if i != j])
    between = mean([kernel(p, q) for p in a for q in b])
    return {"folded": (said - folded).abs().max().item(), "said": said.std().item(), "kid": measure.kid(a, b), "kidByHand": among(a) + among(b) - 2 * between}


sys.stdout.flush()
shown = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
with tempfile.TemporaryDirectory() as place:
    place = pathlib.Path(place)
    killed_after(place / "killed", int(sys.argv[2]))
    resumed = run(place / "killed")
    at = [resumed.stage, resumed.step]
    straight = run(place / "straight")
    begun = {f"{part}.{name}": value.clone() for part in ("vae", "text", "unet") for name, value in getattr(straight, part).state_dict().items()}
    one, other = weights(straight), weights(resumed)
    unmoved = [name for name, value in begun.items() if torch.equal(one[name], value) and not name.endswith("position_ids")]
    result = {"resumedAt": at, "different": [name for name in one if not torch.equal(one[name], other[name])], "unmoved": unmoved, **drawn(place / "straight", place / "folder")}
    result["sheets"] = sorted(file.name for file in (place / "straight").glob("*.png"))
    white = torch.load(place / "straight/latents.pt", weights_only=True)["latents"].float()
    result |= judging()
    result["mean"], result["deviation"] = white.mean().item(), white.std().item()
sys.stdout.flush()
os.dup2(shown, 1)
print(json.dumps(result))
