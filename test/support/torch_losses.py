"""What PyTorch makes of a model with an adapter whose heads are dropped: `python torch_losses.py JOB.json`, answer as JSON.

The job: {model: folder, adapter: folder, rows: [{instruction, output}], cases: [{heads: null | [dropped], renormalize}]}; a case
with heads null is the base model. The answer: for each case [[log-likelihood, tokens]] of the rows' answers. An answer's tokens are
those that begin, by the tokenizer's own offsets, behind the generation prompt.
"""
import json, pathlib, sys
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def adapted(tensors, scale, layer, site, dropped, renormalize):
    """y + scale * sum_j omega_j(x) * B_j A x over the heads j that stay (docs/method.md, Drop)."""
    B, router = tensors[f"layers.{layer}.{site}.B"], tensors[f"layers.{layer}.{site}.router"]
    A = tensors[f"shared.A.{router.shape[1]}"]
    stay = [j for j in range(len(B)) if f"{layer}.{site}.{j}" not in dropped]

    def hook(linear, inputs, y):
        x = inputs[0]
        scores = F.linear(x, router)
        omega = scores[..., stay].softmax(-1) if renormalize else scores.softmax(-1)[..., stay]
        for k, j in enumerate(stay):
            y = y + scale * omega[..., k:k + 1] * F.linear(F.linear(x, A), B[j])
        return y

    return hook


def encoded(tokenizer, row):
    messages = [{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["output"]}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    prompt = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return torch.tensor(tokens["input_ids"]), torch.tensor([begin >= len(prompt) for begin, _ in tokens["offset_mapping"]])


@torch.no_grad()
def likelihood(model, ids, answer):
    logp = model(input_ids=ids[None]).logits[0, :-1].log_softmax(-1).gather(-1, ids[1:, None])[:, 0]
    return [logp[answer[1:]].sum().item(), int(answer[1:].sum())]


def main():
    job = json.loads(pathlib.Path(sys.argv[1]).read_text())
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    folder = pathlib.Path(job["adapter"])
    tensors = load_file(folder / "adapter.safetensors")
    method = json.loads((folder / "adapter.json").read_text())["method"]
    rows = [encoded(tokenizer, row) for row in job["rows"]]
    answer = []
    for case in job["cases"]:
        hooks = []
        for i, layer in enumerate(model.model.layers):
            for site in method["targets"] if case["heads"] is not None else []:
                linear = getattr(layer.self_attn if site in ATTENTION else layer.mlp, site)
                hook = adapted(tensors, method["alpha"] / method["rank"], i, site, case["heads"], case["renormalize"])
                hooks.append(linear.register_forward_hook(hook))
        answer.append([likelihood(model, *row) for row in rows])
        for hook in hooks:
            hook.remove()
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
