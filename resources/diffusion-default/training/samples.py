"""Contact sheets: what the autoencoder makes of pictures, and what is drawn for fixed prompts from fixed noise."""

import numpy as np
import torch
from PIL import Image

import networks
from networks import LATENT, SCALE, token_ids

PROMPTS = [
    *["a dog", "cat", "a red apple", "a car, 3d", "flat rocket", "a tree on a blue background", "a house", "a fish", "grinning face"],
    *["a pizza", "an umbrella", "a drawing of a flower", "a dog and a cat", "a blue bird", "a key", "a 3d guitar", "a green car"],
    *["a banana on a pink background", "a smiling robot", "a mushroom", "a penguin", "a clock", "a heart", "a ship on a yellow background"],
]


def as_image(pictures: torch.Tensor, columns: int, scale: int = 2) -> Image.Image:
    """[n, 3, h, w] of -1 to 1 in rows"""
    pixels = ((pictures.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    number, height, width, _ = pixels.shape
    rows = -(-number // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, one in enumerate(pixels):
        y, x = i // columns * height, i % columns * width
        sheet[y : y + height, x : x + width] = one
    return Image.fromarray(sheet).resize((sheet.shape[1] * scale, sheet.shape[0] * scale), Image.NEAREST)


@torch.no_grad()
def pairs_sheet(vae, pixels: torch.Tensor) -> Image.Image:
    """Each picture above what comes back."""
    back = vae.decode(vae.encode(pixels).latent_dist.mean).sample
    rows = [torch.cat([one, other]) for one, other in zip(pixels.split(8), back.split(8))]
    return as_image(torch.cat(rows), 8)


@torch.no_grad()
def sampled(vae, tokenizer, text, unet, prompts: list[str], seed: int, steps: int = 20, guidance: float = 4.0) -> torch.Tensor:
    """DDIM; [prompts, 3, 64, 64] of -1 to 1"""
    states = text(token_ids(tokenizer, [*prompts, *[""] * len(prompts)])).last_hidden_state
    noise = networks.scheduler()
    noise.set_timesteps(steps)
    latents = torch.randn((len(prompts), *LATENT), generator=torch.Generator().manual_seed(seed))
    for time in noise.timesteps:
        asked, free = unet(torch.cat([latents, latents]).contiguous(memory_format=torch.channels_last), time, states).sample.chunk(2)
        latents = noise.step(free + guidance * (asked - free), time, latents).prev_sample
    return vae.decode(latents / SCALE).sample


def contact_sheet(vae, tokenizer, text, unet, prompts: list[str] = PROMPTS, seed: int = 7) -> Image.Image:
    return as_image(sampled(vae, tokenizer, text, unet, prompts, seed), 8)
