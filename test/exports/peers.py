"""What PyTorch's side makes of our exports: `python peers.py JOBS.json`. One process for all, as importing torch takes long.

logits: transformers (and PEFT, where an adapter is given) on token ids -> {logits} [tokens, vocabulary] in f32
make:   PEFT itself makes a LoRA with random weights, saves its folder, and its logits
quantize: the package gguf's bytes of some floats
chat:   token ids of a chat template
"""
import json, sys
import numpy as np
import torch
from safetensors.torch import load_file, save_file


def base(model):
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="eager").eval()


def write_logits(model, job):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([job["ids"]])).logits[0].float()
    save_file({"logits": logits.contiguous()}, job["out"])


def logits(job):
    model = base(job["model"])
    if "adapter" in job:
        from peft import PeftModel
        model = PeftModel.from_pretrained(model, job["adapter"]).eval()
    write_logits(model, job)


def make(job):
    from peft import LoraConfig, get_peft_model
    config = LoraConfig(r=4, lora_alpha=6, task_type="CAUSAL_LM", **job["config"])
    torch.manual_seed(5)
    model = get_peft_model(base(job["model"]), config).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
        if "magnitude" in name:
            parameter.data *= 1 + 0.2 * torch.rand_like(parameter)
    model.save_pretrained(job["adapter"])
    write_logits(model, job)


def quantize(job):
    from gguf import GGMLQuantizationType, quants
    values = load_file(job["values"])["values"].numpy()
    packed = {kind: torch.from_numpy(np.ascontiguousarray(quants.quantize(values, GGMLQuantizationType[kind])).view(np.uint8))
              for kind in ["Q8_0", "Q4_0"]}
    save_file(packed, job["out"])


def chat(job):
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    ids = tokenizer.apply_chat_template(job["messages"], add_generation_prompt=True, return_dict=True)["input_ids"]
    plain = tokenizer(job["text"]).input_ids
    json.dump({"chat": ids, "plain": plain}, open(job["out"], "w"))


for job in json.load(open(sys.argv[1])):
    {"logits": logits, "make": make, "quantize": quantize, "chat": chat}[job["kind"]](job)
