"""Writes what train.py trained as the folder of a StableDiffusionPipeline, in f16, by the average of the weights:

    python folder.py --run FOLDER --out .."""

import argparse
import json
import pathlib
import shutil

import torch
from torch import nn

import networks


def load_trained(run: pathlib.Path) -> tuple[dict[str, nn.Module], dict]:
    """Of FOLDER/state.pt: the models, ready to be asked; stage and step."""
    state = torch.load(run / "state.pt", weights_only=True)
    if state["stage"] != 1:
        raise SystemExit(f"{run / 'state.pt'} is still of the autoencoder's stage, at step {state['step']}.")
    models = {"vae": networks.vae(), "text": networks.text_encoder(), "unet": networks.unet()}
    for part, model in models.items():
        model.load_state_dict(state[part])
        model.load_state_dict(state["averages"].get(part, {}), strict=False)
        model.eval().requires_grad_(False)
    return models, {"stage": state["stage"], "step": state["step"]}


def write_folder(folder: pathlib.Path, models: dict[str, nn.Module], tokenizer: pathlib.Path) -> None:
    parts = {"vae": models["vae"], "text_encoder": models["text"], "unet": models["unet"]}
    for name, model in parts.items():
        model.half().save_pretrained(folder / name, safe_serialization=True)
        model.float()
    networks.scheduler().save_pretrained(folder / "scheduler")
    (folder / "tokenizer").mkdir(exist_ok=True)
    for file in ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / file, folder / "tokenizer" / file)
    classes = {"vae": ["diffusers", "AutoencoderKL"], "unet": ["diffusers", "UNet2DConditionModel"], "scheduler": ["diffusers", "DDIMScheduler"]}
    texts = {"text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
    nothing = {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.42.1", **classes, **texts, **nothing}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("run", "out"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    given = parser.parse_args()
    write_folder(given.out, load_trained(given.run)[0], given.run / "tokenizer")
