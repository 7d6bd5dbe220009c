"""Writes noise.json: what diffusers' schedulers make of a start by a network that is a formula, and the numbers they train with.

    python -m pip install --no-deps --target PACKAGES diffusers==0.42.1 pillow==13.0.0 importlib_metadata==10.2.0 zipp==4.1.2
    PYTHONPATH=PACKAGES python make_noise.py

with the Python of test/support/python.ts (torch 2.13)."""

import json
import math
import pathlib
import tempfile
import warnings

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from diffusers.schedulers import scheduling_euler_ancestral_discrete
from diffusers.training_utils import compute_snr
from diffusers.utils import logging

warnings.filterwarnings("ignore")
logging.set_verbosity_error()
SIZE = 12


def wave(seed: float) -> torch.Tensor:
    """Numbers about as large as noise, which every language reckons alike."""
    return torch.tensor([1.4 * math.sin(seed + 2.3 * i + 0.37 * i * i) for i in range(SIZE)], dtype=torch.float32)


def network(x: torch.Tensor, time: float, condition: float = 0.0) -> torch.Tensor:
    """What is seen is all noise at the end of training's steps, and hardly any at their beginning."""
    part = time / 1000
    return math.sqrt(part) * x + (1 - part) * 0.3 * torch.sin(1.3 * x + time / 300 + condition)


def guided(x: torch.Tensor, time: float) -> torch.Tensor:
    """As StableDiffusionPipeline: the negative prompt's first."""
    negative, prompt = network(x, time, 0.0), network(x, time, 1.0)
    return negative + 5.0 * (prompt - negative)


def sampled(scheduler, steps: int, predict=network, **spaced) -> dict:
    scheduler.set_timesteps(steps, **spaced)
    if hasattr(scheduler, "set_begin_index"):
        # Two levels of Karras' may round to one time, which would be taken for the later of them.
        scheduler.set_begin_index(0)
    drawn = iter(range(steps))
    scheduling_euler_ancestral_discrete.randn_tensor = lambda *_, **__: wave(100 + next(drawn))
    x = wave(1) * getattr(scheduler, "init_noise_sigma", 1.0)
    for time in scheduler.timesteps:
        seen = scheduler.scale_model_input(x, time) if hasattr(scheduler, "scale_model_input") else x
        x = scheduler.step(predict(seen, time.item()), time, x, return_dict=False)[0]
    return {"times": scheduler.timesteps.tolist(), "latents": x.tolist()}


def plain(config) -> dict:
    return {key: value for key, value in dict(config).items() if key != "_use_default_values" and value not in (-float("inf"),)}


# Stable Diffusion 1.5's as its folder has it, 2.1's, SDXL's, and what else the schedules can be.
SD = dict(_class_name="PNDMScheduler", beta_end=0.012, beta_schedule="scaled_linear", beta_start=0.00085, num_train_timesteps=1000, set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1, trained_betas=None, clip_sample=False)
CONFIGS = {
    "sd15": SD,
    "sd21": {**SD, "_class_name": "DDIMScheduler", "prediction_type": "v_prediction"},
    "sdxl": {**SD, "_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading", "interpolation_type": "linear", "use_karras_sigmas": False, "prediction_type": "epsilon", "sample_max_value": 1.0},
    "zero": {**SD, "_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing", "prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
    "linear": {"_class_name": "DDPMScheduler", "num_train_timesteps": 600, "clip_sample": False, "timestep_spacing": "linspace"},
    "cosine": {"_class_name": "DDPMScheduler", "beta_schedule": "squaredcos_cap_v2", "clip_sample": False, "timestep_spacing": "linspace"},
}
SAMPLERS = {
    "ddim": (DDIMScheduler, {}),
    "euler": (EulerDiscreteScheduler, {}),
    "euler-ancestral": (EulerAncestralDiscreteScheduler, {}),
    "dpm++-2m": (DPMSolverMultistepScheduler, {}),
    "dpm++-2m-karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
}
FLOWS = {
    "sd3": {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0},
    "flux": {"_class_name": "FlowMatchEulerDiscreteScheduler", "base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15, "num_train_timesteps": 1000, "shift": 3.0, "use_dynamic_shifting": True},
}

cases = []
for name, config in CONFIGS.items():
    for sampler, (kind, more) in SAMPLERS.items():
        for steps in (20, 7) if name in ("sd15", "sdxl") else (20,):
            scheduler = kind.from_config({key: value for key, value in config.items() if key != "_class_name"}, **more)
            cases.append({"config": name, "sampler": sampler, "steps": steps, **sampled(scheduler, steps)})
guidance = {"config": "sd15", "sampler": "dpm++-2m", "steps": 20, **sampled(DPMSolverMultistepScheduler.from_config(SD), 20, guided)}

cases.append({"config": "sd3", "sampler": "flow-euler", "steps": 20, **sampled(FlowMatchEulerDiscreteScheduler.from_config(FLOWS["sd3"]), 20)})
# FLUX' and Z-Image's pipelines: their own steps, and FLUX' shift by the tokens of a picture (here 1024).
own = torch.linspace(1.0, 1 / 20, 20).tolist()
mu = 0.5 + (1.15 - 0.5) / (4096 - 256) * (1024 - 256)
for name, more in (("flux", {"mu": mu}), ("sd3", {})):
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(FLOWS[name])
    scheduler.set_timesteps(sigmas=own, **more)
    x = wave(1)
    for time in scheduler.timesteps:
        x = scheduler.step(network(x, time.item()), time, x, return_dict=False)[0]
    cases.append({"config": name, "sampler": "flow-euler", "steps": 20, "noises": own, "tokens": 1024, "times": scheduler.timesteps.tolist(), "latents": x.tolist()})

training = []
for name, config in CONFIGS.items():
    scheduler = DDPMScheduler.from_config({key: value for key, value in config.items() if key != "_class_name"})
    last = config.get("num_train_timesteps", 1000) - 1
    for time in (0, 1, 180, 431, last):
        at = torch.tensor([time])
        x0, noise = wave(3)[None], wave(4)[None]
        v = config.get("prediction_type") == "v_prediction"
        snr = compute_snr(scheduler, at)
        # As diffusers' train_text_to_image.py weighs.
        weight = torch.stack([snr, 5 * torch.ones_like(snr)], dim=1).min(dim=1)[0] / (snr + 1 if v else snr)
        training.append(
            {
                "config": name,
                "time": time,
                "share": scheduler.alphas_cumprod[time].item(),
                "noised": scheduler.add_noise(x0, noise, at)[0].tolist(),
                "target": (scheduler.get_velocity(x0, noise, at) if v else noise)[0].tolist(),
                "weight": weight.item(),
            }
        )
flow = FlowMatchEulerDiscreteScheduler.from_config(FLOWS["sd3"])
at = flow.timesteps[400:401]
training.append({"config": "sd3", "time": at.item(), "noised": flow.scale_noise(wave(3)[None], at, wave(4)[None])[0].tolist(), "target": (wave(4) - wave(3)).tolist(), "weight": 1})

saved = {}
for kind in (DDIMScheduler, EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, DPMSolverMultistepScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler):
    with tempfile.TemporaryDirectory() as folder:
        kind().save_pretrained(folder)
        saved[kind.__name__] = (pathlib.Path(folder) / "scheduler_config.json").read_text()

here = pathlib.Path(__file__).parent


def rounded(value):
    """f32 has no more digits."""
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return {key: rounded(one) for key, one in value.items()} if isinstance(value, dict) else value


written = {"configs": {**CONFIGS, **FLOWS}, "saved": saved, "training": training, "guidance": guidance, "cases": cases}
lines = ",\n".join(f' "{key}": ' + (json.dumps(rounded(value)) if not isinstance(value, list) else "[\n" + ",\n".join("  " + json.dumps(rounded(one)) for one in value) + "\n ]") for key, value in written.items())
(here / "noise.json").write_text("{\n" + lines + "\n}\n")
print(len(cases), "cases", (here / "noise.json").stat().st_size, "bytes")
