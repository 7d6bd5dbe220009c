"""The peer of the benchmark: PEFT LoRA on PyTorch. Reads one JSON line of options, answers "run N" lines with N steps' seconds.

Options: config (a Hugging Face Llama configuration; weights are random, which costs no accuracy here: only time is measured),
precision f32 | bf16, rows, length, rank, checkpointing, compile, threads, device cpu (default) | cuda; vision (config, scale, imageToken,
pictures, tokensAPicture: the model is an Idefics3 then, its tower frozen, with so many pictures at the beginning of each row). Where there is no CUDA
device it answers with that instead.
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
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, LlamaConfig, LlamaForCausalLM  # noqa: E402

device = options.get("device", "cpu")
if device == "cuda" and not torch.cuda.is_available():
    print(json.dumps({"missing": "no CUDA device"}), flush=True)
    sys.exit()
torch.set_num_threads(options["threads"])
torch.manual_seed(0)
dtype = torch.bfloat16 if options["precision"] == "bf16" else torch.float32
text, vision = LlamaConfig(**options["config"]), options.get("vision")
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
if vision:
    tied = options["config"]["tie_word_embeddings"]
    whole = Idefics3Config(vision_config=vision["config"], text_config=text, scale_factor=vision["scale"], image_token_id=vision["imageToken"], pad_token_id=2, tie_word_embeddings=tied)
    model = Idefics3ForConditionalGeneration(whole).to(device, dtype)
    # The language model's alone: the tower has linears of some of these names, too.
    targets = rf".*text_model.*\.({'|'.join(targets)})"
else:
    model = LlamaForCausalLM(text).to(device, dtype)
model = get_peft_model(model, LoraConfig(r=options["rank"], lora_alpha=2 * options["rank"], target_modules=targets))
model.train()
if options["checkpointing"]:
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
if options["compile"]:
    model = torch.compile(model)
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
rows, reserved = options["rows"], 17
ids = torch.randint(reserved, options["config"]["vocab_size"], (rows, options["length"]), device=device)
inputs = {"input_ids": ids, "labels": ids}
if vision:
    side, seen = vision["config"]["image_size"], vision["pictures"] * vision["tokensAPicture"]
    labels = ids.clone()
    ids[:, :seen], labels[:, :seen] = vision["imageToken"], -100
    inputs = {"input_ids": ids, "labels": labels, "pixel_values": torch.rand(rows, vision["pictures"], 3, side, side, device=device).to(dtype) * 2 - 1}


def step():
    start = time.perf_counter()
    loss = model(**inputs).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def product(size=1024):
    """Billions of floating-point operations a second of a bare matrix product."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    best = 1e9
    for _ in range(8):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


for line in sys.stdin:
    steps, begun = int(line.split()[1]), time.process_time()
    seconds = [step() for _ in range(steps)]
    cpu_seconds = (time.process_time() - begun) / steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated()
    print(json.dumps({"seconds": seconds, "cpuSeconds": cpu_seconds, "peakBytes": peak, "productGflops": product()}), flush=True)
