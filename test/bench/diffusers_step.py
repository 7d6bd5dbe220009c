"""The peer of the diffusion benchmark: diffusers and PEFT LoRA on PyTorch. Reads one JSON line of options, answers "run N" lines.

Options: folder (make_pipeline.py), work train | paint, pictures, size (pixels a side), steps (of a painting), rank, threads. A run of train is N training
steps on latents and text features that are there; one of paint is N paintings of all pictures in one batch, with guidance and an adapter.
"""
import json
import os
import resource
import sys
import time

options = json.loads(sys.stdin.readline())
os.environ["OMP_NUM_THREADS"] = str(options["threads"])
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch  # noqa: E402
from diffusers import StableDiffusionPipeline  # noqa: E402
from peft import LoraConfig  # noqa: E402

torch.set_num_threads(options["threads"])
torch.manual_seed(0)
pipe = StableDiffusionPipeline.from_pretrained(options["folder"], torch_dtype=torch.float32)
pipe.set_progress_bar_config(disable=True)
if os.environ.get("CHANNELS_LAST"):
    pipe.unet.to(memory_format=torch.channels_last)
    pipe.vae.to(memory_format=torch.channels_last)
unet, pictures, size = pipe.unet, options["pictures"], options["size"]
unet.requires_grad_(False)
unet.add_adapter(LoraConfig(r=options["rank"], lora_alpha=2 * options["rank"], target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
if options["work"] == "train":
    del pipe.vae, pipe.text_encoder
    unet.train()
    optimizer = torch.optim.AdamW([p for p in unet.parameters() if p.requires_grad], lr=1e-4)
    side = size // options["factor"]
    latents = torch.randn(pictures, 4, side, side)
    if os.environ.get("CHANNELS_LAST"):
        latents = latents.contiguous(memory_format=torch.channels_last)
    target = torch.randn_like(latents)
    context = torch.randn(pictures, options["tokens"], unet.config.cross_attention_dim)


def train():
    times = torch.randint(0, 1000, (pictures,))
    loss = torch.nn.functional.mse_loss(unet(latents, times, encoder_hidden_states=context).sample, target)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def paint():
    with torch.no_grad():
        pipe(["a photo of a cat"] * pictures, num_inference_steps=options["steps"], guidance_scale=5.0, height=size, width=size)


for line in sys.stdin:
    seconds, begun = [], time.process_time()
    count = int(line.split()[1])
    for _ in range(count):
        start = time.perf_counter()
        (train if options["work"] == "train" else paint)()
        seconds.append(time.perf_counter() - start)
    cpu_seconds = (time.process_time() - begun) / count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "cpuSeconds": cpu_seconds, "peakBytes": peak}), flush=True)
