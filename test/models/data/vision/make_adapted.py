"""Puts the reference's EffiLoRA (test/parity/effilora_torch.py) on the language model, the tower and the connector of the tiny models of
make_models.py, or trains the connector whole, and writes loss, gradients and logits: python make_adapted.py (transformers 5.24, torch 2.15)"""

import math
import pathlib
import re
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

here = pathlib.Path(__file__).parent
sys.path += [str(here.parents[2] / "parity"), str(here.parents[2] / "exports")]
from effilora_torch import Site  # noqa: E402
from seeing_inputs import given  # noqa: E402

HEADS, RANK, ALPHA = 2, 3, 6
LANGUAGE = ["q_proj", "v_proj", "o_proj", "down_proj"]


def place(module: str) -> tuple[str, int, str] | None:
    """Group, block and site of a linear, by its name in transformers."""
    if found := re.search(r"(?:language_model|text_model)\.layers\.(\d+)\.\w+\.(\w+)$", module):
        return ("language", int(found[1]), found[2]) if found[2] in LANGUAGE else None
    if found := re.search(r"merger\.mlp\.(\d)$", module):
        return ("connector", 0, f"connector.mlp_{found[1]}")
    if found := re.search(r"(?:layers|blocks)\.(\d+)\.\w+\.(\w+)$", module):
        return ("tower", int(found[1]), f"tower.{found[2]}")
    if found := re.search(r"(?:connector|multi_modal_projector)\..*?(\w+)$", module):
        return ("connector", 0, f"connector.{found[1]}")
    return None


def is_connector(parameter: str) -> bool:
    return any(part in parameter for part in ("connector.", "multi_modal_projector.", "merger."))


def case(family: str, whole: bool) -> None:
    expected = load_file(here / "models" / family / "expected.safetensors")
    model = AutoModelForImageTextToText.from_pretrained(here / "models" / family, dtype=torch.float32, attn_implementation="eager").eval()
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(3)
    own = {name: parameter for name, parameter in model.named_parameters() if whole and is_connector(name)}
    for parameter in own.values():
        parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05).requires_grad_(True)
    shared, sites = {}, {}
    for name, module in list(model.named_modules()):
        at = isinstance(module, torch.nn.Linear) and place(name)
        # Of CLIP, the layers above the one that is taken are not run.
        if not at or (whole and at[0] == "connector") or (family == "llava" and at[0] == "tower" and at[1] > 0):
            continue
        group, block, site = at
        width = module.weight.shape[1]
        key = f"shared.A.{width}" if group == "language" else f"shared.A.{group}.{width}"
        if key not in shared:
            shared[key] = torch.nn.Parameter((torch.rand(RANK, width, generator=generator) * 2 - 1) / math.sqrt(width))
        sites[f"layers.{block}.{site}"] = Site(module, [shared[key]], HEADS, RANK, ALPHA, generator)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, sites[f"layers.{block}.{site}"])
    for site in sites.values():
        for B in site.B:
            B.data.copy_(torch.randn(B.shape, generator=generator) * 0.2)
    inputs = given(family, expected)
    out = model(**inputs, labels=expected["labels"].long())
    out.loss.backward()
    tensors = {"logits": out.logits, "loss": out.loss.reshape(1)}

    def put(name, value, gradient):
        tensors[name], tensors[f"gradient:{name}"] = value, gradient

    for key, value in shared.items():
        put(key, value, value.grad)
    for key, site in sites.items():
        put(f"{key}.B", torch.stack(list(site.B)), torch.stack([B.grad for B in site.B]))
        put(f"{key}.router", site.router, site.router.grad)
    for key, value in own.items():
        put(f"whole:{key}", value, value.grad)
    name = "whole" if whole else "adapted"
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, here / "models" / family / f"{name}.safetensors")
    print(family, name, len(sites), len(own), out.loss.item())


for family in ("idefics3", "llava", "gemma3", "qwen2.5-vl"):
    for whole in (False, True):
        case(family, whole)
