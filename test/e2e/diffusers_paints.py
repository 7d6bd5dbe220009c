"""Paints with a LoRA file as anyone would with diffusers: `python diffusers_paints.py MODEL FOLDER FILE`; how far its picture is from the base model's."""
import json
import sys
import warnings

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging

warnings.filterwarnings("ignore")
logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(1)
model, folder, file = sys.argv[1:]
pipe = StableDiffusionPipeline.from_pretrained(model, torch_dtype=torch.float32)
pipe.set_progress_bar_config(disable=True)


def painted():
    seed = torch.Generator().manual_seed(1)
    return pipe("a dog", num_inference_steps=2, height=16, width=16, generator=seed, output_type="np").images


base = painted()
pipe.load_lora_weights(folder, weight_name=file)
print(json.dumps({"adapters": sorted(pipe.get_list_adapters()), "far": float(abs(painted() - base).max())}))
