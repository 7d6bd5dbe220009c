"""Adapters of mlx-lm on a small model, each with the logits it gives: `python make_mlx_adapters.py`.

Deterministic; needs mlx and mlx-lm (mlx[cpu] on Linux). Each: adapters/<kind>/ with adapter_config.json, adapters.safetensors and
expected.safetensors (logits of the last 6 of IDS). The base model is ../../models/data/llama-tied.
"""
import json, pathlib, shutil
import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model

HERE = pathlib.Path(__file__).parent
IDS = [(t * 37 + 11) % 96 for t in range(24)]
KINDS = {
    "mlx-lora": dict(fine_tune_type="lora", num_layers=-1, lora_parameters={"rank": 4, "dropout": 0.0, "scale": 1.5}),
    "mlx-last-layer": dict(fine_tune_type="lora", num_layers=1, lora_parameters={"rank": 4, "dropout": 0.0, "scale": 1.5, "keys": ["self_attn.q_proj", "mlp.down_proj"]}),
    "mlx-dora": dict(fine_tune_type="dora", num_layers=2, lora_parameters={"rank": 4, "dropout": 0.0, "scale": 1.5, "keys": ["self_attn.q_proj", "self_attn.v_proj"]}),
}

mx.set_default_device(mx.cpu)
for kind, config in KINDS.items():
    model, _ = load_model(HERE / "../../models/data/llama-tied", strict=False)
    model.set_dtype(mx.float32)
    model.freeze()
    mx.random.seed(5)
    linear_to_lora_layers(model, config["num_layers"], config["lora_parameters"], use_dora=config["fine_tune_type"] == "dora")
    weights = {}
    for name, value in tree_flatten(model.trainable_parameters()):
        leaf = name.rsplit(".", 1)[-1]
        if leaf == "lora_b":
            value = mx.random.normal(value.shape) * 0.2
        if leaf == "m":
            value = value * (1 + 0.2 * mx.random.uniform(shape=value.shape))
        weights[name] = value
    model.load_weights(list(weights.items()), strict=False)
    folder = HERE / "adapters" / kind
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "adapters.safetensors"), weights)
    json.dump({"model": "llama-tied", "seed": 0, **config}, open(folder / "adapter_config.json", "w"), indent=1)
    logits = model(mx.array([IDS]))[0, -6:]
    mx.save_safetensors(str(folder / "expected.safetensors"), {"logits": logits.astype(mx.float32)})
