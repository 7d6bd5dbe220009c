"""What transformers and PEFT make of exported models that take pictures: `python seeing.py JOBS.json`; a job has a family, a model's folder,
by choice a PEFT folder on it, and a file to write its logits on the fixtures' texts to."""

import json
import pathlib
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from seeing_inputs import given

here = pathlib.Path(__file__).parent.parent / "models/data/vision/models"

for job in json.load(open(sys.argv[1])):
    model = AutoModelForImageTextToText.from_pretrained(job["model"], dtype=torch.float32)
    if "adapter" in job:
        model = PeftModel.from_pretrained(model, job["adapter"])
    expected = load_file(here / job["family"] / "expected.safetensors")
    with torch.no_grad():
        logits = model.eval()(**given(job["family"], expected)).logits
    save_file({"logits": logits.contiguous()}, job["out"])
