"""What transformers makes of other configurations on the models of make_models.py: `python make_configs.py`.

Deterministic; needs torch, transformers, safetensors. Writes configs.json (each: the model, the fields set and dropped in its
config.json) and configs-expected.safetensors (by name: logits of the last 4 of each model's own input_ids).
"""
import json, pathlib, shutil, tempfile
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
FACTORS = dict(short_factor=[1.0, 1.5, 2.0, 2.5], long_factor=[2.0, 3.0, 4.0, 5.0])


def rope(kind, **options):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **options}}


CASES = {
    "llama has no window": ("llama-tied", dict(sliding_window=8, use_sliding_window=True, layer_types=["sliding_attention"] * 2), []),
    "llama has no scalar and no caps": ("llama-tied", dict(query_pre_attn_scalar=100, final_logit_softcapping=2.0, attn_logit_softcapping=2.0, pretraining_tp=2), []),
    "linear of before": ("llama-tied", dict(rope_scaling={"type": "linear", "factor": 4.0}, rope_theta=500.0), ["rope_parameters"]),
    "rope_scaling goes before rope_parameters": ("llama-tied", dict(rope_scaling={"rope_type": "linear", "factor": 2.0}, **rope("linear", factor=8.0)), []),
    "rope_theta alone": ("llama-tied", dict(rope_theta=300.0), ["rope_parameters"]),
    "no word of rope": ("llama-tied", {}, ["rope_parameters"]),
    "dynamic by the context": ("llama-tied", dict(max_position_embeddings=20, **rope("dynamic", factor=3.0, original_max_position_embeddings=8)), []),
    "yarn with attention factor": ("llama-tied", rope("yarn", factor=4.0, original_max_position_embeddings=32, attention_factor=1.3), []),
    "yarn with mscale": ("llama-tied", rope("yarn", factor=4.0, original_max_position_embeddings=32, mscale=0.7, mscale_all_dim=0.4), []),
    "yarn with betas": ("llama-tied", rope("yarn", factor=4.0, original_max_position_embeddings=64, beta_fast=4, beta_slow=0.25), []),
    "yarn not truncated": ("llama-tied", rope("yarn", factor=4.0, original_max_position_embeddings=64, beta_fast=4, beta_slow=0.25, truncate=False), []),
    "yarn by the context": ("llama-tied", rope("yarn", factor=4.0), []),
    "yarn with the context outside": ("llama-tied", dict(original_max_position_embeddings=16, **rope("yarn", factor=4.0, original_max_position_embeddings=64)), []),
    "longrope, long": ("llama-tied", rope("longrope", original_max_position_embeddings=16, **FACTORS), []),
    "longrope, short": ("llama-tied", rope("longrope", original_max_position_embeddings=64, factor=2.0, **FACTORS), []),
    "longrope with attention factor": ("llama-tied", rope("longrope", original_max_position_embeddings=16, attention_factor=1.4, **FACTORS), []),
    "gelu_new": ("llama-tied", dict(hidden_act="gelu_new"), []),
    "gelu_fast": ("llama-tied", dict(hidden_act="gelu_fast"), []),
    "swish": ("llama-tied", dict(hidden_act="swish"), []),
    "epsilon by default": ("llama-tied", {}, ["rms_norm_eps"]),
    "mistral without window": ("mistral-window", dict(sliding_window=None), []),
    "mistral's window by default": ("mistral-window", {}, ["sliding_window"]),
    "mistral of full layers": ("mistral-window", dict(layer_types=["full_attention", "full_attention"]), []),
    "mistral by layer types": ("mistral-window", dict(layer_types=["full_attention", "sliding_attention"]), []),
    "qwen2 slides from a layer on": ("qwen2", dict(use_sliding_window=True, sliding_window=8, max_window_layers=1), ["layer_types"]),
    "qwen2 slides from layer 28 on": ("qwen2", dict(use_sliding_window=True, sliding_window=8), ["layer_types", "max_window_layers"]),
    "qwen2 slides only where it is said": ("qwen2", dict(use_sliding_window=False, sliding_window=8, max_window_layers=0), ["layer_types"]),
    "qwen2 by layer types": ("qwen2", dict(use_sliding_window=True, sliding_window=8, layer_types=["sliding_attention", "full_attention"]), []),
    "qwen3 slides": ("qwen3", dict(use_sliding_window=True, sliding_window=8, max_window_layers=0), ["layer_types"]),
    "qwen3 with yarn": ("qwen3", rope("yarn", factor=4.0, original_max_position_embeddings=32), []),
    "gemma3 by its scalar's default": ("gemma3", {}, ["query_pre_attn_scalar"]),
    "gemma3 by a pattern": ("gemma3", dict(sliding_window_pattern=3), ["layer_types"]),
    "gemma3 by the pattern's default": ("gemma3", {}, ["layer_types", "sliding_window_pattern", "_sliding_window_pattern"]),
    "gemma3 of before": ("gemma3", dict(rope_theta=5000.0, rope_local_base_freq=500.0, rope_scaling={"rope_type": "linear", "factor": 4.0}), ["rope_parameters"]),
    "gemma3's bases by default": ("gemma3", {}, ["rope_parameters"]),
    "gemma3 takes no flat parameters": ("gemma3", rope("linear", factor=4.0), []),
    "gemma3 by hidden_activation only": ("gemma3", dict(hidden_act="silu"), ["hidden_activation"]),
}


def main():
    expected = {}
    for name, (model, fields, drop) in CASES.items():
        with tempfile.TemporaryDirectory() as copy:
            shutil.copytree(HERE / model, copy, dirs_exist_ok=True)
            path = pathlib.Path(copy) / "config.json"
            config = {key: value for key, value in json.load(open(path)).items() if key not in drop} | fields
            json.dump(config, open(path, "w"))
            ids = load_file(pathlib.Path(copy) / "expected.safetensors")["input_ids"].long()
            loaded = AutoModelForCausalLM.from_pretrained(copy, dtype=torch.float32, attn_implementation="eager").eval()
            with torch.no_grad():
                expected[name] = loaded(input_ids=ids).logits[0, -4:].float().contiguous()
    json.dump([dict(name=name, model=model, set=fields, drop=drop) for name, (model, fields, drop) in CASES.items()], open(HERE / "configs.json", "w"), indent=1)
    save_file(expected, HERE / "configs-expected.safetensors")


main()
