"""The peer of the quality benchmark: PEFT LoRA of rank 16 on PyTorch in f32. `quality-peft.py JOB`, a JSON file.

Job: gguf (the base model's file), learningRate, steps (a list of steps, each a list of examples {inputIds, labels}), sets (the same by
test set). Every example goes through alone, so that none needs padding; gradients are of the step's mean over its label tokens. Prints
the mean held-out loss over the label tokens of each set as JSON.
"""
import json
import pathlib
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

job = json.loads(pathlib.Path(sys.argv[1]).read_text())
torch.manual_seed(0)
gguf = pathlib.Path(job["gguf"])
model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=targets))
trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=job["learningRate"], weight_decay=0)


def loss_sum(example):
    """-log p summed over the example's label tokens, and their number."""
    labels = torch.tensor(example["labels"][1:])
    rows = (labels >= 0).nonzero()[:, 0]
    hidden = model.base_model.model.model(input_ids=torch.tensor([example["inputIds"]])).last_hidden_state[0]
    logits = model.base_model.model.lm_head(hidden[rows])
    return torch.nn.functional.cross_entropy(logits, labels[rows], reduction="sum"), len(rows)


model.train()
for step in job["steps"]:
    count = sum(label >= 0 for example in step for label in example["labels"][1:])
    for example in step:
        (loss_sum(example)[0] / count).backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()

model.eval()
losses = {}
with torch.no_grad():
    for name, examples in job["sets"].items():
        sums = [loss_sum(example) for example in examples]
        losses[name] = float(sum(loss for loss, _ in sums)) / sum(count for _, count in sums)
print(json.dumps(losses))
