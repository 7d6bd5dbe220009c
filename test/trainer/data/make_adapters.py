"""PEFT's adapters of every kind on small models, each with the logits PEFT gives: `python make_adapters.py`.

Deterministic; needs torch, transformers, peft, safetensors. Each: adapters/<kind>/ with adapter_config.json, adapter_model.safetensors
and, where PEFT's answer is to be reached, expected.safetensors (logits of the last 6 of IDS). The base models are ../../models/data/*.
"""
import json, pathlib, shutil, tempfile
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
MODELS = HERE / "../../models/data"
IDS = [(t * 37 + 11) % 96 for t in range(24)]
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
QVD = ["q_proj", "v_proj", "down_proj"]

READ = {
    "rank-and-alpha-pattern": dict(target_modules=ALL, rank_pattern={"down_proj": 6, "model.layers.1.self_attn.q_proj": 2},
                                   alpha_pattern={r"layers\.0\..*_proj": 3, "mlp.up_proj": 16}),
    "rslora-pattern": dict(target_modules=QVD, use_rslora=True, rank_pattern={"^model.layers.0.mlp.down_proj": 1}, alpha_pattern={"q_proj": 2}),
    "dora-pattern": dict(target_modules=QVD, use_dora=True, rank_pattern={"v_proj": 3}),
    "layers-to-transform": dict(target_modules=QVD, layers_to_transform=[1]),
    "layers-pattern": dict(target_modules=QVD, layers_to_transform=0, layers_pattern="layers"),
    "regex": dict(target_modules=r".*\.(?P<layer>1)\.(self_attn\.[qk]|mlp\.up)_proj"),
    "full-names": dict(target_modules=["model.layers.0.self_attn.o_proj", "layers.1.mlp.gate_proj"]),
    "exclude": dict(target_modules=ALL, exclude_modules=r"model\.layers\.0\.mlp\..*"),
    "exclude-list": dict(target_modules=ALL, exclude_modules=["layers.1.self_attn.q_proj", "gate_proj"]),
    "all-linear": dict(target_modules="all-linear"),
    "gaussian": dict(target_modules=QVD, init_lora_weights="gaussian"),
    "orthogonal": dict(target_modules=QVD, init_lora_weights="orthogonal"),
    "random": dict(target_modules=QVD, init_lora_weights=False),
    "bias-of-none": dict(target_modules=QVD, bias="all"),
    "dora-of-one-layer": dict(target_modules=QVD, use_dora=True, layers_to_transform=[0]),
}
REFUSED = {
    "pissa": dict(target_modules=QVD, init_lora_weights="pissa"),
    "pissa-niter": dict(target_modules=QVD, init_lora_weights="pissa_niter_4"),
    "olora": dict(target_modules=QVD, init_lora_weights="olora"),
    "modules-to-save": dict(target_modules=["q_proj"], modules_to_save=["norm"]),
    "head": dict(target_modules=["q_proj", "lm_head"]),
    "embedding": dict(target_modules=["q_proj", "embed_tokens"]),
    "lora-bias": dict(target_modules=["q_proj"], lora_bias=True),
    "token-rows": dict(target_modules=["q_proj"], trainable_token_indices=[3, 5]),
    "alora": dict(target_modules=["q_proj"], alora_invocation_tokens=[3, 5]),
    "replication": dict(target_modules=["q_proj"], layer_replication=[[0, 2], [1, 2]]),
}


def base(name):
    return AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32, attn_implementation="eager").eval()


def stirred(model):
    """Every part of the adapter does something."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name or "lora_embedding" in name:
                p.copy_(torch.randn_like(p) * 0.2)
            elif "magnitude" in name or ("modules_to_save" in name) or "trainable_tokens_delta" in name:
                p.mul_(1 + 0.2 * torch.rand_like(p))
            elif name.endswith(".bias") and "lora" not in name:
                p.add_(0.1 * torch.randn_like(p))
    return model.eval()


def save(model, kind, **options):
    folder = HERE / "adapters" / kind
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **options)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.load(open(folder / "adapter_config.json"))
    config["base_model_name_or_path"] = pathlib.Path(config["base_model_name_or_path"] or "").name
    for key, value in config.items():                      # sets are written in any order
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            config[key] = sorted(value)
    json.dump(config, open(folder / "adapter_config.json", "w"), indent=1)
    return folder


def write_logits(folder, name):
    """What PEFT makes of the folder as it lies there."""
    with torch.no_grad():
        logits = PeftModel.from_pretrained(base(name), folder).eval()(input_ids=torch.tensor([IDS])).logits[0, -6:]
    save_file({"logits": logits.float().contiguous()}, folder / "expected.safetensors")


def make(kind, options, read, name="llama-tied"):
    torch.manual_seed(5)
    options = dict(r=4, lora_alpha=6, task_type="CAUSAL_LM") | options
    model = stirred(get_peft_model(base(name), LoraConfig(**options)))
    folder = save(model, kind)
    if read:
        write_logits(folder, name)


def converted():
    """PiSSA, turned into a plain LoRA by PEFT as it saves."""
    torch.manual_seed(5)
    model = get_peft_model(base("llama-tied"), LoraConfig(r=4, lora_alpha=6, task_type="CAUSAL_LM", target_modules=QVD, init_lora_weights="pissa"))
    with tempfile.TemporaryDirectory() as begin:
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(begin)
        model.peft_config["default"].init_lora_weights = "pissa"
        with torch.no_grad():
            for key, p in model.named_parameters():
                if "lora_" in key:
                    p.add_(0.05 * torch.randn_like(p))
        folder = save(model, "pissa-converted", path_initial_model_for_weight_conversion=begin)
    write_logits(folder, "llama-tied")


for kind, options in READ.items():
    make(kind, options, True)
for kind, options in REFUSED.items():
    make(kind, options, False)
make("bias", dict(target_modules=QVD, bias="lora_only"), False, "llama-untied-no-gqa-bias")
converted()
torch.manual_seed(5)
save(get_peft_model(base("llama-tied"), IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])), "ia3")
plain = base("llama-tied")
with torch.no_grad():
    save_file({"logits": plain(input_ids=torch.tensor([IDS])).logits[0, -6:].contiguous()}, HERE / "adapters" / "base.safetensors")
