"""Trains what the line-drawing example is measured by: a small convolutional network that tells its 48 things apart and whose features are held
to EfficientNet-Lite0's, so that a KID on them needs neither PyTorch nor 17 MB of weights.

    npx tsx resources/line-drawings/make/make.ts node_modules OTHERS
    python judge.py --others OTHERS --packages node_modules --out ../../line-drawings/judge.safetensors

It learns from other renderings than the example's: lines of 0.8 to 2.8 pixels, turned and placed otherwise, and colours. What it computes:
a picture [64, 64, 3] of -1 to 1; six 3x3 convolutions with bias and ReLU (padding 1, strides 2, 1, 2, 1, 2, 1); the mean over all places is
`features` [128]; `things` is a linear layer on them [48], whose names the file's metadata lists."""

import argparse
import json
import pathlib

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, cross_entropy, linear, pad, relu

from perceptual import load_lite0, pooled
from pictures import Draw, as_input
from sprites import load_sprites

WIDTHS = [3, 32, 48, 64, 96, 128, 128]
STRIDES = [2, 1, 2, 1, 2, 1]


def judged(weights: dict[str, torch.Tensor], pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """features [n, 128] and how much each thing is meant [n, 48], of pictures [n, 3, 64, 64]"""
    x = pictures
    for i, stride in enumerate(STRIDES):
        x = relu(conv2d(x, weights[f"conv{i}.weight"], weights[f"conv{i}.bias"], stride, 1))
    features = x.mean((2, 3))
    return features, linear(features, weights["things.weight"], weights["things.bias"])


def load_judge(file: pathlib.Path) -> tuple[dict[str, torch.Tensor], list[str]]:
    with safe_open(file, "pt") as opened:
        return {name: opened.get_tensor(name).float() for name in opened.keys()}, json.loads(opened.metadata()["things"])


class Learner(nn.Module):
    """With batch norms, which are folded into the convolutions in the end."""

    def __init__(self, things: int, others: int):
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, s, 1, bias=False) for a, b, s in zip(WIDTHS, WIDTHS[1:], STRIDES))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in WIDTHS[1:])
        self.things, self.others = nn.Linear(WIDTHS[-1], things), nn.Linear(WIDTHS[-1], others)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for convolution, norm in zip(self.convolutions, self.norms):
            x = relu(norm(convolution(x)))
        features = x.mean((2, 3))
        return self.things(features), self.others(features)

    @torch.no_grad()
    def folded(self) -> dict[str, torch.Tensor]:
        made = {"things.weight": self.things.weight, "things.bias": self.things.bias}
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms)):
            factor = norm.weight / (norm.running_var + norm.eps).sqrt()
            made[f"conv{i}.weight"] = convolution.weight * factor[:, None, None, None]
            made[f"conv{i}.bias"] = norm.bias - norm.running_mean * factor
        return {name: value.detach().half().contiguous() for name, value in made.items()}


def opened(file: pathlib.Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB"))


def examples(others: pathlib.Path, packages: pathlib.Path, seed: int, more: int) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """The renderings and as many emoji on grounds as asked for; pictures, what each shows (-100: something else), the things' names."""
    names = sorted(folder.name for folder in others.iterdir())
    pixels, shown = [], []
    for i, name in enumerate(names):
        for file in sorted((others / name).glob("*.png")):
            pixels.append(opened(file))
            shown.append(i)
    draw = Draw(load_sprites(packages))
    for index in range(more):
        made = draw.picture(seed + 1, index)
        pixels.append(made.pixels)
        name = made.names[0][0]
        shown.append(names.index(name) if len(made.names) == 1 and name in names else -100)
    return as_input(pixels), torch.tensor(shown), names


def varied(pictures: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Moved by up to three pixels, some blurred, some grainy, as drawn pictures are."""
    number = len(pictures)
    right, down, kind = (torch.randint(0, 7, (number,), generator=random) for _ in range(3))
    wide = pad(pictures, (3, 3, 3, 3), mode="replicate")
    moved = torch.stack([one[:, y : y + 64, x : x + 64] for one, x, y in zip(wide, right.tolist(), down.tolist())])
    blurred = avg_pool2d(pad(moved, (1, 1, 1, 1), mode="replicate"), 3, 1)
    moved = torch.where((kind < 2)[:, None, None, None], blurred, moved)
    grain = torch.randn(moved.shape, generator=random) * 0.15 * (kind > 4)[:, None, None, None]
    flipped = torch.where((torch.rand(number, generator=random) < 0.5)[:, None, None, None], moved.flip(3), moved)
    return (flipped + grain).contiguous(memory_format=torch.channels_last)


def train(pictures: torch.Tensor, shown: torch.Tensor, features: torch.Tensor, things: int, steps: int, batch: int, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    target = (features - features.mean(0)) / (features.std(0) + 1e-3)
    learner = Learner(things, features.shape[1]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=3e-3, weight_decay=0.02)
    random = torch.Generator().manual_seed(seed)
    for step in range(steps):
        chosen = torch.randint(0, len(pictures), (batch,), generator=random)
        said, also = learner(varied(pictures[chosen], random))
        known = shown[chosen]
        loss = cross_entropy(said, known, ignore_index=-100, label_smoothing=0.05) + 0.5 * (also - target[chosen]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 50, (steps - step) / steps * 1.5)
        optimizer.step()
        if (step + 1) % 100 == 0:
            right = (said.argmax(1) == known)[known >= 0].float().mean().item()
            print(json.dumps({"step": step + 1, "loss": round(loss.item(), 3), "right": round(right, 3)}), flush=True)
    return learner.folded()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("others", "packages", "out"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    for name, usual in {"seed": 1, "threads": 2, "steps": 1500, "batch": 48, "more": 2500}.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    pictures, shown, names = examples(given.others, given.packages, given.seed, given.more)
    weights = train(pictures, shown, pooled(load_lite0(), pictures), len(names), given.steps, given.batch, given.seed)
    save_file(weights, given.out, metadata={"format": "pt", "things": json.dumps(names)})
