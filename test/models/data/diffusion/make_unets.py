"""Makes tiny random UNets by diffusers, in half precision, and puts their outputs, gradients and those of EffiLoRA on them beside them:
python make_unets.py (diffusers 0.42, torch 2.13; pip install --no-deps --target FOLDER diffusers==0.42.0 pillow importlib_metadata zipp,
then PYTHONPATH=FOLDER with the Python of test/support/python.ts)"""

import math
import pathlib
import re
import shutil
import sys

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent / "unets"
sys.path.append(str(pathlib.Path(__file__).parents[3] / "parity"))
from effilora_torch import Site  # noqa: E402

HEADS, RANK, ALPHA = 2, 3, 6
TARGETS = ["unet.attn1.to_q", "unet.attn1.to_out", "unet.attn2.to_k", "unet.attn2.to_v", "unet.ff.net_2", "unet.proj_in"]


def spread(model) -> None:
    """Weights of the size that trained ones have, no norm at 1 and no bias at 0, all of them numbers that 16 bits hold."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            scale = 0.9 / math.sqrt(value[0].numel()) if value.ndim > 1 else 0.2
            value.copy_((torch.randn_like(value) * scale + (1.0 if "norm" in name and name.endswith("weight") else 0.0)).bfloat16().float())


def blocks(model) -> dict[str, int]:
    """Transformer blocks by their names, counted down, mid, up."""
    order = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}
    names = [name for name, _ in model.named_modules() if re.search(r"transformer_blocks\.\d+$", name)]
    names.sort(key=lambda name: (order[name.split(".")[0]], [int(part) for part in re.findall(r"\d+", name)]))
    return {name: i for i, name in enumerate(names)}


def place(name: str, numbers: dict[str, int]):
    """Block and site of a linear or 1 x 1 convolution."""
    if found := re.match(r"(.*transformer_blocks\.\d+)\.(.*)$", name):
        return numbers[found[1]], "unet." + found[2].replace("to_out.0", "to_out").replace("ff.net.0.proj", "ff.net_0").replace("ff.net.2", "ff.net_2")
    found = re.match(r"(.*attentions\.\d+)\.(proj_in|proj_out)$", name)
    own = [i for block, i in numbers.items() if block.startswith(found[1] + ".")]
    return (own[0] if found[2] == "proj_in" else own[-1]), f"unet.{found[2]}"


class Pointwise(torch.nn.Module):
    """A 1 x 1 convolution with a site on it: the linear over every pixel."""

    def __init__(self, base, *args):
        super().__init__()
        linear = torch.nn.Linear(base.in_channels, base.out_channels)
        linear.weight, linear.bias = torch.nn.Parameter(base.weight.detach()[:, :, 0, 0], False), torch.nn.Parameter(base.bias.detach(), False)
        self.site = Site(linear, *args)

    def forward(self, x):
        return self.site(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def adapt(model):
    """EffiLoRA on the targets: one A for each input width."""
    generator = torch.Generator().manual_seed(3)
    numbers, shared, sites = blocks(model), {}, {}
    for name, module in list(model.named_modules()):
        if not isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) or not re.search(r"attentions\.\d+\.", name):
            continue
        block, site = place(name, numbers)
        if site not in TARGETS:
            continue
        width = module.weight.shape[1]
        if width not in shared:
            shared[width] = torch.nn.Parameter((torch.rand(RANK, width, generator=generator) * 2 - 1) / math.sqrt(width))
        args = ([shared[width]], HEADS, RANK, ALPHA, generator)
        adapted = Pointwise(module, *args) if isinstance(module, torch.nn.Conv2d) else Site(module, *args)
        own = adapted.site if isinstance(adapted, Pointwise) else adapted
        for B in own.B:
            B.data.copy_(torch.randn(B.shape, generator=generator) * 0.2)
        sites[f"layers.{block}.{site}"] = own
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, adapted)
    return shared, sites


def case(name: str, size: int, dtype=torch.float16, added=None, **config) -> None:
    torch.manual_seed(5)
    model = UNet2DConditionModel(sample_size=size, norm_num_groups=4, **config).eval()
    spread(model)
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    model.to(dtype).save_pretrained(folder)
    model.float()
    sample = torch.randn(2, 4, size, size + 4)
    context = torch.randn(2, 5, config["cross_attention_dim"])
    times = torch.tensor([7, 931])
    tensors = {"sample": sample, "context": context, "times": times.float()}
    more = {}
    if added:
        more = {"added_cond_kwargs": {"text_embeds": torch.randn(2, added), "time_ids": torch.tensor([[8.0, 8, 0, 0, 8, 8], [512, 300, 3, 77, 64, 64]])}}
        tensors.update(more["added_cond_kwargs"])
    sample.requires_grad_(True)
    context.requires_grad_(True)

    def run(prefix: str, learned: dict) -> None:
        out = model(sample, times, encoder_hidden_states=context, **more).sample
        direction = tensors.setdefault("direction", torch.randn(out.shape))
        gradients = torch.autograd.grad((out * direction).sum(), list(learned.values()))
        tensors[f"{prefix}out"] = out
        tensors.update({f"{prefix}gradient:{key}": gradient for key, gradient in zip(learned, gradients)})

    linears = [key for key, _ in model.named_parameters() if re.search(r"^(down_blocks|mid_block).*(attn1.to_q|attn2.to_v|ff.net.0.proj|proj_out).weight$", key)]
    run("", {"sample": sample, "context": context, **{key: model.get_parameter(key) for key in linears[:6]}})
    shared, sites = adapt(model)
    learned = {f"shared.A.unet.{width}": value for width, value in shared.items()}
    for key, site in sites.items():
        learned[f"{key}.router"] = site.router
        learned.update({f"{key}.B.{j}": B for j, B in enumerate(site.B)})
    run("adapted:", {"sample": sample, "context": context, **learned})
    tensors.update({f"adapter:{key}": value for key, value in learned.items()})
    grouped: dict[str, torch.Tensor] = {}
    for key, value in tensors.items():
        if found := re.match(r"(.*\.B)\.0$", key):
            value = torch.stack([tensors[f"{found[1]}.{j}"] for j in range(HEADS)])
            key = found[1]
        elif re.search(r"\.B\.\d$", key):
            continue
        grouped[key] = value.detach().contiguous().float()
    save_file(grouped, folder / "expected.safetensors")
    print(name, sum(value.numel() for value in model.parameters()), len(sites), len(blocks(model)), (folder / "expected.safetensors").stat().st_size)


case(
    "sd1", 8, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=12, attention_head_dim=2,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
)
case(
    "sd2", 8, torch.bfloat16, block_out_channels=(4, 8), layers_per_block=1, cross_attention_dim=12, attention_head_dim=(1, 2), use_linear_projection=True,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
)
case(
    "sdxl", 4, block_out_channels=(4, 8), layers_per_block=1, cross_attention_dim=12, attention_head_dim=(1, 2), use_linear_projection=True,
    transformer_layers_per_block=(1, 2), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    addition_embed_type="text_time", addition_time_embed_dim=4, projection_class_embeddings_input_dim=30, added=6,
)
