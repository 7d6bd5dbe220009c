"""What transformers and PEFT make of exported models that take pictures: `python seeing.py JOBS.json`; a job has a family, a model's folder,
by choice a PEFT folder on it, and a file to write its logits on the fixtures' texts to."""

import json
import pathlib
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

here = pathlib.Path(__file__).parent.parent / "models/data/vision/models"


def given(family: str, expected: dict) -> dict:
    """As make_models.py gives them."""
    ids, mask, pixels = expected["ids"].long(), expected["mask"].long(), expected["pixels"]
    common = dict(input_ids=ids, attention_mask=mask)
    if family == "idefics3":
        return dict(common, pixel_values=torch.stack([pixels[:2], torch.cat([pixels[2:], torch.zeros(1, 3, 16, 16)])]))
    seen = (ids == 39).long()
    if family == "gemma3":
        return dict(common, pixel_values=pixels, token_type_ids=seen)
    if family == "qwen2.5-vl":
        return dict(common, pixel_values=pixels, image_grid_thw=torch.tensor([[1, 4, 4], [1, 2, 6], [1, 6, 4]]), mm_token_type_ids=seen)
    return dict(common, pixel_values=pixels)


for job in json.load(open(sys.argv[1])):
    model = AutoModelForImageTextToText.from_pretrained(job["model"], dtype=torch.float32)
    if "adapter" in job:
        model = PeftModel.from_pretrained(model, job["adapter"])
    expected = load_file(here / job["family"] / "expected.safetensors")
    with torch.no_grad():
        logits = model.eval()(**given(job["family"], expected)).logits
    save_file({"logits": logits.contiguous()}, job["out"])
