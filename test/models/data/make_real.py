"""Writes what transformers computes for a real GGUF model: `python make_real.py MODEL.gguf NAME`.

Deterministic; needs torch, transformers, gguf, safetensors. transformers dequantizes the same file to f32. Beside this script:
NAME-expected.safetensors with, for each text i, `ids.i` [tokens] (the tokenizer's, special tokens included), `positions.i` [4],
`tokens.i` [chosen] (every 97th of the vocabulary, and the 32 likeliest at each position) and `logits.i` [4, chosen] in f32.
"""
import pathlib, sys
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = [
    "The capital of France is Paris, and the capital of Italy is Rome. Water boils at 100 degrees Celsius at sea level, "
    "and it freezes at 0 degrees; a mixture of ice and salt is colder still.",
    "def factorial(n):\n    if n <= 1:\n        return 1\n    return n * factorial(n - 1)\n\nprint(factorial(5))  # 120\n",
    # longer than gemma3's window of 512 tokens
    " ".join(f"{i} times {i + 3} is {i * (i + 3)}." for i in range(1, 76)),
]


def main():
    file, name = pathlib.Path(sys.argv[1]), sys.argv[2]
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32,
                                                 attn_implementation="eager").eval()
    out = {}
    for i, text in enumerate(TEXTS):
        ids = tokenizer(text, return_tensors="pt").input_ids
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0].float()
        positions = torch.tensor([1, ids.shape[1] // 3, ids.shape[1] // 2, ids.shape[1] - 1])
        chosen = set(range(0, logits.shape[1], 97))
        for position in positions.tolist():
            chosen |= set(logits[position].topk(32).indices.tolist())
        tokens = torch.tensor(sorted(chosen))
        out |= {f"ids.{i}": ids[0].int(), f"positions.{i}": positions.int(), f"tokens.{i}": tokens.int(),
                f"logits.{i}": logits[positions][:, tokens].contiguous()}
        print(i, ids.shape, logits.abs().max().item(), tokenizer.decode(logits[-1].argmax()))
    save_file(out, pathlib.Path(__file__).parent / f"{name}-expected.safetensors")


if __name__ == "__main__":
    main()
