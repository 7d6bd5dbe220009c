"""What diffusers and PEFT make of LoRA files of diffusion models: `python diffusion_peers.py JOBS.json`, answers as JSON. One process for all.

merged: the same of a folder or a checkpoint with the LoRA merged in, its autoencoder's pictures beside, against the weights changed by hand
load: a pipeline's text features and one step of its network, plain, with a file loaded, and with the LoRA added to the weights by hand
make: PEFT adapts a pipeline at random, and diffusers' own functions write it in every form they know; beside it what it adds to each weight
"""
import functools
import json
import pathlib
import sys
import warnings

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, ZImagePipeline
from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
from diffusers.utils import logging as diffusers_logging
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from safetensors.torch import load_file, save_file

warnings.filterwarnings("ignore")
diffusers_logging.set_verbosity_error()
diffusers_logging.disable_progress_bar()
torch.set_num_threads(1)
PROMPTS = ["a photo of a cat", ""]
PARTS = ("unet", "transformer", "text_encoder", "text_encoder_2")
KINDS = {"sd": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline, "z-image": ZImagePipeline}


def pipeline(job, place="model"):
    load = KINDS[job["kind"]].from_pretrained
    if job[place].endswith(".safetensors"):
        # What the file doesn't say is taken from the folder's configurations.
        load = functools.partial(KINDS[job["kind"]].from_single_file, config=job["model"], local_files_only=True)
    return load(job[place], torch_dtype=torch.float32)


def parts(pipe):
    return {name: part for name in PARTS if (part := getattr(pipe, name, None)) is not None}


def inputs(pipe, job):
    file = pathlib.Path(job["model"]) / "expected.safetensors"
    if file.exists():
        return load_file(file)
    random = torch.Generator().manual_seed(4)
    numbers = lambda *shape: torch.randn(shape, generator=random)
    return {"sample": numbers(2, 4, 8, 8), "context": numbers(2, 77, pipe.unet.config.cross_attention_dim), "sizes": numbers(2, 6)}


@torch.no_grad()
def outputs(pipe, job):
    given = inputs(pipe, job)
    if job["kind"] == "z-image":
        contexts = [given["context.0"], given["context.1"]]
        return [torch.stack(pipe.transformer(list(given["sample"].unsqueeze(2)), given["times"] / 1000, contexts, return_dict=False)[0])]
    if job["kind"] == "sdxl":
        context, _, pooled, _ = pipe.encode_prompt(PROMPTS, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
        more = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": given["sizes"]}}
    else:
        context, more = pipe.encode_prompt(PROMPTS, "cpu", 1, False)[0], {}
    step = lambda text: pipe.unet(given["sample"], torch.tensor([3, 801]), encoder_hidden_states=text, **more).sample
    return [context, step(context), step(given["context"])]


def module(part, path):
    """transformers' later versions leave the model's own name out of some text encoders' modules."""
    return part.get_submodule(path if hasattr(part, "text_model") else path.removeprefix("text_model."))


@torch.no_grad()
def add(pipe, plain, dtype=torch.float32):
    """W + alpha / rank B A; with DoRA each row is given its magnitude as its length."""
    for name in [name.removesuffix(".A") for name in plain if name.endswith(".A")]:
        part, path = name.split(".", 1)
        weight = module(parts(pipe)[part], path).weight
        down, up = plain[f"{name}.A"].double(), plain[f"{name}.B"].double()
        changed = weight.double() + plain[f"{name}.alpha"].item() / len(down) * (up @ down).reshape(weight.shape)
        if f"{name}.magnitude" in plain:
            rows = changed.reshape(len(changed), -1)
            changed = (rows * (plain[f"{name}.magnitude"].double() / rows.norm(dim=1))[:, None]).reshape(weight.shape)
        weight.copy_(changed.to(dtype).float())


def largest(a, b):
    """of each output, as a share of the largest number expected"""
    return [((x - y).abs().max() / y.abs().max()).item() for x, y in zip(a, b)]


def load(job):
    base = outputs(pipeline(job), job)
    by_hand = pipeline(job)
    add(by_hand, load_file(job["plain"]))
    expected = outputs(by_hand, job)
    loaded = pipeline(job)
    loaded.load_lora_weights(job["folder"], weight_name=job["file"])
    if job["convert"]:
        # Of a kohya file diffusers makes first what it wrote before there was PEFT.
        state, _ = loaded.lora_state_dict(job["folder"], weight_name=job["file"], unet_config=loaded.unet.config)
        save_file(state, pathlib.Path(job["folder"]) / "processors.safetensors")
    return {"moved": largest(base, expected), "off": largest(outputs(loaded, job), expected)}


@torch.no_grad()
def merged(job):
    both = lambda pipe: [*outputs(pipe, job), pipe.vae.decode(torch.ones(1, 4, 4, 4)).sample, pipe.vae.encode(torch.ones(1, 3, 8, 8)).latent_dist.mean]
    by_hand = pipeline(job)
    base = both(by_hand)
    # The files hold halves.
    add(by_hand, load_file(job["plain"]), torch.float16)
    expected = both(by_hand)
    return {"moved": largest(base, expected), "off": largest(both(pipeline(job, "place")), expected)}


@torch.no_grad()
def make(job):
    torch.manual_seed(9)
    pipe = pipeline(job)
    out = pathlib.Path(job["folder"])
    targets = {"unet": ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out", "conv1", "conv2", "conv_shortcut", "time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv"]}
    states, configs, deltas = {}, {}, {}
    for name, part in parts(pipe).items():
        config = LoraConfig(target_modules=targets.get(name, ["q_proj", "k_proj", "v_proj", "out_proj"]), **job["config"][name])
        inject_adapter_in_model(config, part)
        for key, value in part.named_parameters():
            if "lora_B" in key:
                value.normal_(std=0.3)
            if "magnitude" in key:
                value.mul_(1 + 0.2 * torch.rand_like(value))
        states[name], configs[name] = get_peft_model_state_dict(part), config.to_dict()
        for key, value in part.named_modules():
            if hasattr(value, "get_delta_weight"):
                path = key if name == "unet" or key.startswith("text_model.") else f"text_model.{key}"
                deltas[f"{name}.{path}.delta"] = value.get_delta_weight("default").flatten(1).contiguous()
                if value.use_dora["default"]:
                    deltas[f"{name}.{path}.magnitude"] = value.lora_magnitude_vector["default"].weight.flatten().contiguous()
    save_file(deltas, out / "deltas.safetensors")
    save = lambda layers, file, **metadata: pipe.save_lora_weights(out, **{f"{name}_lora_layers": state for name, state in layers.items()}, weight_name=file, **metadata)
    save(states, "told.safetensors", **{f"{name}_lora_adapter_metadata": config for name, config in configs.items()})
    save({name: convert_state_dict_to_diffusers(state) for name, state in states.items()}, "older.safetensors")
    kohya = convert_state_dict_to_kohya({f"{name}.{key}": value for name, state in states.items() for key, value in state.items()})
    save_file({key: value.contiguous() for key, value in kohya.items()}, out / "kohya.safetensors")
    return {}


jobs = json.loads(pathlib.Path(sys.argv[1]).read_text())
print(json.dumps([globals()[job["do"]](job) for job in jobs]))
