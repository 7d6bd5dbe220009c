"""Makes tiny random autoencoders by diffusers, in half precision, with what they make of pictures and of latents:
python make_vaes.py (diffusers 0.42, torch 2.13; as make_unets.py)"""

import math
import pathlib
import shutil

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent / "vaes"


def case(name: str, **config) -> None:
    torch.manual_seed(5)
    model = AutoencoderKL(norm_num_groups=4, layers_per_block=1, **config).eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            scale = 0.9 / math.sqrt(value[0].numel()) if value.ndim > 1 else 0.2
            value.copy_((torch.randn_like(value) * scale + (1.0 if "norm" in key and key.endswith("weight") else 0.0)).half().float())
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    model.half().save_pretrained(folder)
    model.float()
    pictures = (torch.rand(2, 3, 8, 12) * 2 - 1).requires_grad_(True)
    distribution = model.encode(pictures).latent_dist
    noise = torch.randn(distribution.mean.shape)
    shift = config.get("shift_factor", 0)
    latents = (distribution.mean + distribution.std * noise - shift) * model.config.scaling_factor
    decoded = model.decode(latents / model.config.scaling_factor + shift).sample
    direction = torch.randn(decoded.shape)
    (gradient,) = torch.autograd.grad((decoded * direction).sum(), [pictures])
    tensors = {"pictures": pictures, "noise": noise, "mean": distribution.mean, "logVariance": distribution.logvar, "latents": latents, "decoded": decoded, "direction": direction, "gradient": gradient}
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / "expected.safetensors")
    print(name, sum(value.numel() for value in model.parameters()))


types = dict(down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3)
case("sd", block_out_channels=(4, 4, 8), latent_channels=4, scaling_factor=0.18215, **types)
# As later models have it: no linears around the latents, these moved, no attention.
case("shifted", block_out_channels=(4, 4, 8), latent_channels=6, scaling_factor=0.36, shift_factor=0.12, use_quant_conv=False, use_post_quant_conv=False, mid_block_add_attention=False, **types)
