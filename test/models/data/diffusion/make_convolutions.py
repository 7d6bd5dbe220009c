"""Puts beside the tiny UNet sd1 of make_unets.py what adapted residual blocks make of its case: PEFT's LoRA, and EffiLoRA on what each filter sees.
PYTHONPATH=FOLDER python make_convolutions.py (diffusers 0.42, PEFT 0.21, torch 2.13; as make_unets.py)"""

import math
import pathlib
import re
import sys

import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file, save_file

here = pathlib.Path(__file__).parent / "unets" / "sd1"
sys.path.append(str(pathlib.Path(__file__).parents[3] / "parity"))
from effilora_torch import Site  # noqa: E402

HEADS, RANK, ALPHA = 2, 3, 6
CONVOLUTIONS = r"(down_blocks|mid_block|up_blocks).*(conv1|conv2|conv_shortcut|time_emb_proj|samplers\.0\.conv)$"
given = load_file(here / "expected.safetensors")
tensors: dict[str, torch.Tensor] = {}


def opened():
    return UNet2DConditionModel.from_pretrained(here, torch_dtype=torch.float32).eval().requires_grad_(False)


def blocks(model) -> dict[str, int]:
    """Residual blocks by their names, counted down, mid, up behind the transformer blocks."""
    order = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}
    names = [name for name, _ in model.named_modules() if re.search(r"resnets\.\d+$", name)]
    names.sort(key=lambda name: (order[name.split(".")[0]], [int(part) for part in re.findall(r"\d+", name)]))
    transformers = sum(1 for name, _ in model.named_modules() if re.search(r"transformer_blocks\.\d+$", name))
    return {name: transformers + i for i, name in enumerate(names)}


def site(name: str, numbers: dict[str, int]) -> str:
    """What leads to the next level belongs to the last residual block before it."""
    level, _, own = name.rpartition(".")
    if found := re.match(r"(.*)\.(down|up)samplers\.0\.conv$", name):
        level, own = max((each for each in numbers if each.startswith(f"{found[1]}.")), key=numbers.get), f"{found[2]}sample"
    return f"layers.{numbers[level]}.unet.{own}"


def run(model, prefix: str, learned: dict) -> None:
    sample, context = given["sample"].clone().requires_grad_(True), given["context"].clone().requires_grad_(True)
    out = model(sample, given["times"].long(), encoder_hidden_states=context).sample
    every = {"sample": sample, "context": context, **learned}
    for key, gradient in zip(every, torch.autograd.grad((out * given["direction"]).sum(), list(every.values()))):
        tensors[f"{prefix}gradient:{key}"] = gradient
    tensors[f"{prefix}out"] = out
    tensors.update({f"{prefix}adapter:{key}": value for key, value in learned.items()})


def flat(weight: torch.Tensor) -> torch.Tensor:
    """[out, channels, rows, columns] -> [out, rows * columns * channels]"""
    return weight.permute(0, 2, 3, 1).flatten(1) if weight.ndim > 2 else weight


class Patched(torch.nn.Module):
    """A convolution as a linear of what its filter sees, with a site on it."""

    def __init__(self, base, *args):
        super().__init__()
        self.base = base
        linear = torch.nn.Linear(base.weight[0].numel(), base.out_channels)
        linear.weight, linear.bias = torch.nn.Parameter(flat(base.weight.detach()), False), torch.nn.Parameter(base.bias.detach(), False)
        self.site = Site(linear, *args)

    def forward(self, x):
        size, stride = self.base.kernel_size[0], self.base.stride[0]
        seen = torch.nn.functional.unfold(x, size, padding=self.base.padding, stride=stride)
        rows = seen.reshape(len(x), x.shape[1], size * size, -1).permute(0, 3, 2, 1).flatten(2)
        return self.site(rows).transpose(1, 2).reshape(len(x), -1, x.shape[2] // stride, x.shape[3] // stride)


torch.manual_seed(11)
model = opened()
numbers = blocks(model)
names = [name for name, module in model.named_modules() if re.match(CONVOLUTIONS, name)]
inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=CONVOLUTIONS), model)
learned = {}
for name in names:
    module = model.get_submodule(name)
    a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
    with torch.no_grad():
        b.normal_(std=0.2)
    learned[f"{site(name, numbers)}.A"], learned[f"{site(name, numbers)}.B"] = a, b
run(model, "lora:", learned)
for key in list(tensors):
    # As adapters here have them: A as rows of what the filter sees, B of one head.
    if re.match(r"lora:.*\.A$", key):
        tensors[key] = flat(tensors[key])
    if re.match(r"lora:.*\.B$", key):
        tensors[key] = tensors[key].flatten(1)[None]

model, generator, shared, learned = opened(), torch.Generator().manual_seed(3), {}, {}
for name in names:
    base = model.get_submodule(name)
    channels, size = base.weight.shape[1], base.weight.shape[2] if base.weight.ndim > 2 else 1
    width = f"{channels}" if size == 1 else f"{size}x{size}.{channels}"
    inside = base.weight[0].numel()
    if width not in shared:
        shared[width] = torch.nn.Parameter((torch.rand(RANK, inside, generator=generator) * 2 - 1) / math.sqrt(inside))
    args = (base, [shared[width]], HEADS, RANK, ALPHA, generator)
    adapted = Patched(*args) if base.weight.ndim > 2 else Site(*args)
    own = getattr(adapted, "site", adapted)
    for B in own.B:
        B.data.copy_(torch.randn(B.shape, generator=generator) * 0.2)
    learned[f"{site(name, numbers)}.router"] = own.router
    learned.update({f"{site(name, numbers)}.B.{j}": B for j, B in enumerate(own.B)})
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, adapted)
run(model, "effilora:", {f"shared.A.unet.{width}": value for width, value in shared.items()} | learned)
for key in [key for key in tensors if key.endswith(".B.0")]:
    tensors[key.removesuffix(".0")] = torch.stack([tensors.pop(f"{key.removesuffix('.0')}.{j}") for j in range(HEADS)])
save_file({key: value.detach().contiguous().float() for key, value in tensors.items()}, here / "convolutions.safetensors")
print(len(names), sorted(shared), (here / "convolutions.safetensors").stat().st_size)
