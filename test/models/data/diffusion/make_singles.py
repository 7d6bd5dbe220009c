"""Writes the tiny pipelines as single files under the names of Stable Diffusion's makers, and has diffusers convert them back:
python make_singles.py (diffusers 0.42, torch 2.13; as make_unets.py, after make_pipelines.py)"""

import json
import pathlib
import re
from types import SimpleNamespace

import torch
from diffusers.loaders import single_file_utils as judge
from safetensors.torch import load_file, save_file

here = pathlib.Path(__file__).parent
(here / "singles").mkdir(exist_ok=True)


def unet(tensors, layers):
    """One level without attention, one with it, one residual block each on the way down."""
    begins = {
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
        "down_blocks.0.resnets.0": "input_blocks.1.0", "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
        "down_blocks.1.resnets.0": "input_blocks.3.0", "down_blocks.1.attentions.0": "input_blocks.3.1",
        "mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1", "mid_block.resnets.1": "middle_block.2",
        "up_blocks.0.resnets.0": "output_blocks.0.0", "up_blocks.0.attentions.0": "output_blocks.0.1", "up_blocks.0.resnets.1": "output_blocks.1.0", "up_blocks.0.attentions.1": "output_blocks.1.1",
        "up_blocks.0.upsamplers.0.conv": "output_blocks.1.2.conv", "up_blocks.1.resnets.0": "output_blocks.2.0", "up_blocks.1.resnets.1": "output_blocks.3.0",
    }
    inside = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
    out = {}
    for name, value in tensors.items():
        begin = max((key for key in begins if name.startswith(key + ".")), key=len)
        rest = name[len(begin) + 1 :].split(".")
        if ".resnets." in name:
            rest[0] = inside[rest[0]]
        out["model.diffusion_model." + begins[begin] + "." + ".".join(rest)] = value
    return out


def vae(tensors):
    out = {}
    for name, value in tensors.items():
        own = re.sub(r"decoder\.up_blocks\.(\d)", lambda found: f"decoder.up.{1 - int(found[1])}", name).replace("encoder.down_blocks", "encoder.down")
        for old, new in {"resnets.": "block.", "downsamplers.0": "downsample", "upsamplers.0": "upsample", "mid_block.block.0": "mid.block_1", "mid_block.block.1": "mid.block_2", "mid_block.attentions.0": "mid.attn_1", "conv_norm_out": "norm_out", "conv_shortcut": "nin_shortcut", "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}.items():
            own = own.replace(old, new)
        out["first_stage_model." + own] = value[:, :, None, None] if "attn_1" in own and value.ndim == 2 else value
    return out


def named(tensors):
    return {name if name.startswith("text_") else f"text_model.{name}": value for name, value in tensors.items()}


def clip(tensors, prefix):
    return {prefix + name: value for name, value in named(tensors).items()} | {prefix + "text_model.embeddings.position_ids": torch.arange(12)[None]}


def open_clip(tensors, prefix, more=False):
    own, out = named(tensors), {}
    for name, value in own.items():
        if re.search(r"self_attn\.[qkv]_proj", name):
            continue
        for old, new in {"text_model.embeddings.token_embedding": "token_embedding", "text_model.embeddings.position_embedding.weight": "positional_embedding", "text_model.final_layer_norm": "ln_final", "text_model.encoder.layers": "transformer.resblocks", "layer_norm": "ln_", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj", "self_attn.out_proj": "attn.out_proj", "text_projection.weight": "text_projection"}.items():
            name = name.replace(old, new)
        out[prefix + name] = value.T.contiguous() if name == "text_projection" else value
    layers = 1 + max(int(found[1]) for name in own if (found := re.search(r"layers\.(\d+)", name)))
    for i in range(layers):
        for kind in ("weight", "bias"):
            out[f"{prefix}transformer.resblocks.{i}.attn.in_proj_{kind}"] = torch.cat([own[f"text_model.encoder.layers.{i}.self_attn.{part}_proj.{kind}"] for part in "qkv"])
    out[prefix + "logit_scale"] = torch.tensor(1.0)
    if more:
        # Stable Diffusion 2 leaves the last layer and the projection out.
        out |= {name.replace(".1.", ".2."): value.clone() for name, value in out.items() if "resblocks.1." in name}
        out[prefix + "text_projection"] = torch.zeros(4, 6).half()
    return out


def check(what, found, wanted):
    assert set(found) == set(wanted), (what, set(found) ^ set(wanted))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted), what


for kind, source in (("sd1", "sd"), ("sd2", "sd"), ("sdxl", "sdxl")):
    folder = here / "pipelines" / source
    config = lambda part: json.loads((folder / part / "config.json").read_text())  # noqa: E731
    parts = {part: load_file(next((folder / part).glob("*.safetensors"))) for part in ("unet", "vae", "text_encoder", "text_encoder_2") if (folder / part).exists()}
    whole = unet(parts["unet"], 1) | vae(parts["vae"]) | {"alphas_cumprod": torch.zeros(4), "model_ema.decay": torch.zeros(1)}
    if kind == "sd1":
        whole |= clip(parts["text_encoder"], "cond_stage_model.transformer.")
    if kind == "sd2":
        whole |= open_clip(parts["text_encoder"], "cond_stage_model.model.", True)
    if kind == "sdxl":
        whole |= clip(parts["text_encoder"], "conditioner.embedders.0.transformer.") | open_clip(parts["text_encoder_2"], "conditioner.embedders.1.model.")
    check("unet", judge.convert_ldm_unet_checkpoint(dict(whole), config("unet")), parts["unet"])
    check("vae", judge.convert_ldm_vae_checkpoint(dict(whole), config("vae")), parts["vae"])
    if kind != "sd2":
        back = judge.convert_ldm_clip_checkpoint(dict(whole))
        check("clip", {name: value for name, value in back.items() if "position_ids" not in name}, named(parts["text_encoder"]))
    if kind != "sd1":
        wanted = named(parts["text_encoder_2" if kind == "sdxl" else "text_encoder"])
        prefix = "conditioner.embedders.1.model." if kind == "sdxl" else "cond_stage_model.model."
        back = judge.convert_open_clip_checkpoint(SimpleNamespace(config=SimpleNamespace(hidden_size=4)), {name: value for name, value in whole.items() if kind == "sdxl" or not name.endswith("text_projection")}, prefix)
        # It takes the projection's width for the hidden one: q, k and v are compared by our own rule.
        alike = lambda all_: {name: value for name, value in all_.items() if not (kind == "sdxl" and re.search(r"[qkv]_proj", name)) and "layers.2." not in name}  # noqa: E731
        check("open clip", alike(back), alike(wanted))
    save_file({name: value.contiguous() for name, value in whole.items()}, here / "singles" / f"{kind}.safetensors")
    print(kind, len(whole))
