"""Makes small random base models of every family and variant, each with the logits transformers gives: `python make_models.py FOLDER`.

Deterministic; needs torch, transformers, safetensors. Each model: FOLDER/<name>/ with config.json, model.safetensors and
expected.safetensors (input_ids [1, 40], logits [1, 40, vocabulary]).
"""
import json, pathlib, sys
import torch
from safetensors.torch import save_file
from transformers import (Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM,
                          Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)

COMMON = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=128, initializer_range=0.3, rms_norm_eps=1e-5)


def rope(kind, **options):
    return dict(rope_parameters={"rope_type": kind, "rope_theta": 10000.0, **options})


MODELS = {
    "llama-tied": (LlamaForCausalLM, LlamaConfig(**COMMON, tie_word_embeddings=True)),
    "llama-untied-no-gqa-bias": (LlamaForCausalLM, LlamaConfig(**{**COMMON, "num_key_value_heads": 4}, tie_word_embeddings=False, attention_bias=True, mlp_bias=True)),
    "llama3-rope": (LlamaForCausalLM, LlamaConfig(**COMMON, **rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32))),
    "llama-linear-rope": (LlamaForCausalLM, LlamaConfig(**COMMON, **rope("linear", factor=4.0))),
    "llama-dynamic-rope": (LlamaForCausalLM, LlamaConfig(**{**COMMON, "max_position_embeddings": 24}, **rope("dynamic", factor=2.0))),
    "llama-yarn-rope": (LlamaForCausalLM, LlamaConfig(**COMMON, **rope("yarn", factor=4.0, original_max_position_embeddings=32))),
    "mistral-window": (MistralForCausalLM, MistralConfig(**COMMON, sliding_window=8)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**COMMON, tie_word_embeddings=True)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**COMMON, head_dim=16)),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig(**{**COMMON, "num_hidden_layers": 7}, head_dim=16, sliding_window=8, query_pre_attn_scalar=24,
                                                   layer_types=["sliding_attention"] * 5 + ["full_attention", "sliding_attention"])),
}


def main():
    root = pathlib.Path(sys.argv[1])
    for name, (architecture, config) in MODELS.items():
        torch.manual_seed(7)
        config._attn_implementation = "eager"
        model = architecture(config).eval()
        with torch.no_grad():
            for key, p in model.named_parameters():
                if p.dim() == 1:                                   # norms and biases off their start values, so that they matter
                    p.add_(torch.randn(p.shape) * 0.2)
            ids = torch.randint(0, 96, (1, 40))
            logits = model(input_ids=ids).logits
        folder = root / name
        model.save_pretrained(folder)
        save_file({"input_ids": ids.int(), "logits": logits.float()}, folder / "expected.safetensors")
        (folder / "generation_config.json").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
