"""Makes the cases beside case-a: `python make_cases.py [CASE …]` (torch, transformers, peft, safetensors from PyPI) writes a folder each.

Each folder holds a small random base model, batches, the adapter's start, and what PyTorch makes of them: step 1's gradients, every
loss, importance and frozen set, the final tensors and logits. effilora and hydralora run on effilora_torch.py, lora, adalora and vera on PEFT itself.
"""
import json, math, pathlib, shutil, sys
import torch
from peft import AdaLoraConfig, LoraConfig, VeraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM
import effilora_torch as reference

HERE = pathlib.Path(__file__).parent
STEPS, RANK, HEADS = 9, 4, 3
REDUCER = {"ratio": 0.4, "warmup": 3, "interval": 2, "beta": 0.5, "probe": True}
MODEL = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=64, rope_theta=10000.0, tie_word_embeddings=True, rms_norm_eps=1e-5, initializer_range=0.2)
CASES = {
    "no-gqa-untied": dict(model=dict(num_key_value_heads=4, tie_word_embeddings=False), reducer=dict(ratio=0.6)),
    "biases-no-probe": dict(model=dict(attention_bias=True, mlp_bias=True), reducer=dict(ratio=0.3, probe=False)),
    # seed: with 3, PyTorch's own float32 and float64 end 1.3e-3 apart (AdamW on a head whose gradients are nearly zero)
    "some-targets": dict(seed=13, targets=["q_proj", "v_proj", "down_proj"], reducer=dict(ratio=0.75, interval=1)),
    "share-module-router-layer": dict(share="module", router="layer"),
    "clip-and-decay": dict(clipNorm=0.5, weightDecay=0.1),
    "hydralora": dict(name="hydralora"),
    "lora": dict(name="lora"),
    "lora-rs-clip-and-decay": dict(name="lora", rsLora=True, clipNorm=0.5, weightDecay=0.1),
    "lora-dora": dict(name="lora", dora=True, model=dict(attention_bias=True)),
    "adalora": dict(name="adalora", rank=5, clipNorm=0.5, weightDecay=0.1, adalora=dict(targetRank=3, tInit=2, tFinal=2, deltaT=2, beta1=0.6, beta2=0.7,
                                                                                      orthogonality=0.4)),
    "vera": dict(name="vera", rank=12, alpha=12, dInitial=0.3, clipNorm=0.5, weightDecay=0.1, model=dict(attention_bias=True)),
    "prefix": dict(model=dict(num_hidden_layers=4), clipNorm=0.5, reducer=dict(policy="prefix", ratio=0.65, importanceAtMost=0.9)),
    "prefix-no-probe": dict(share="module", router="layer", model=dict(num_hidden_layers=4), weightDecay=0.1,
                            reducer=dict(policy="prefix", ratio=0.65, importanceAtMost=0.6, probe=False)),
    "prefix-hydralora": dict(name="hydralora", model=dict(num_hidden_layers=3), reducer=dict(policy="prefix", ratio=0.8, importanceAtMost=1)),
}


def base_model(folder, seed, changes):
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**{**MODEL, **changes}, attn_implementation="eager"))
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(p, std=0.1)
    model.save_pretrained(folder / "model")
    (folder / "model" / "generation_config.json").unlink(missing_ok=True)
    return model.train()


def batches(folder, seed):
    g = torch.Generator().manual_seed(seed + 7)
    out = []
    with open(folder / "batches.jsonl", "w") as f:
        for _ in range(STEPS):
            ids = torch.randint(0, 64, (2, 24), generator=g)
            ids[:, 1::2] = (ids[:, 0::2] * 3 + 1) % 64
            labels = ids.clone()
            labels[:, :6] = -100
            labels[0, 18:] = -100                                  # rows of different weight
            f.write(json.dumps({"input_ids": ids.tolist(), "labels": labels.tolist()}) + "\n")
            out.append((ids, labels))
    return out


class Prefix(reference.Reducer):
    """Policy prefix: whole layers from the bottom first, heads and routers, as far as ratio and importance allow; the rest by topk.
    Backward ends above them; where they are observed they teach A nothing."""

    def __init__(self, sites, model, importanceAtMost, policy, **options):
        super().__init__(sites, **options)
        self.sites, self.at_most, self.layers, self.below, self.cuts = sites, importanceAtMost, len(model.model.layers), 0, False
        self.own = {key: site.A for key, site in sites.items()}
        for i, layer in enumerate(model.model.layers):
            layer.register_forward_hook(lambda _, __, out, i=i: out.detach() if self.cuts and i == self.below - 1 else out)

    def begin(self, step):
        super().begin(step)
        self.cuts = not (self.probe and self.selects(step))
        for (i, s), site in self.sites.items():
            site.router.requires_grad_(i >= self.below)
            site.A = [self.own[i, s][0].detach()] if i < self.below else self.own[i, s]

    def select(self, step):
        if not self.selects(step):
            return
        most = math.floor(self.ratio * len(self.heads))
        all_of = sum(self.score.values())
        self.below = 0
        for count in range(1, self.layers + 1):
            lowest = [h for h in self.heads if h[0] < count]
            if len(lowest) > most or sum(self.score[h] for h in lowest) > self.at_most * all_of:
                break
            self.below = count
        whole = [h for h in self.heads if h[0] < self.below]
        above = sorted((h for h in self.heads if h[0] >= self.below), key=lambda h: (self.score[h], self.heads.index(h)))
        self.frozen = set(whole + above[:most - len(whole)])


class Router(torch.nn.Module):
    """effilora_torch.Site with A and router given from outside."""

    def __init__(self, site, A, router):
        super().__init__()
        self.base, self.scale, self.B, self.A, self.router = site.base, site.scale, site.B, [A], router
    forward = reference.Site.forward


def attach(model, c):
    """({(layer, site): Site}, {file name: A or router})."""
    sites, _ = reference.attach(model, c["targets"], c["heads"], c["rank"], c["alpha"], c["seed"])
    g = torch.Generator().manual_seed(c["seed"] + 2)
    uniform = lambda rows, width: torch.nn.Parameter((torch.rand(rows, width, generator=g) * 2 - 1) / math.sqrt(width))
    named = {}
    for (i, s), site in sites.items():
        width = site.router.shape[1]
        a = f"layers.{i}.{s}.A" if c["name"] == "hydralora" else f"shared.A.{s if c['share'] == 'module' else width}"
        r = f"layers.{i}.router.{width}" if c["router"] == "layer" else f"layers.{i}.{s}.router"
        for key, rows in ((a, c["rank"]), (r, c["heads"])):
            if key not in named:
                named[key] = uniform(rows, width)
        layer = model.model.layers[i]
        parent = layer.self_attn if s in reference.SITES[:4] else layer.mlp
        sites[i, s] = Router(site, named[a], named[r])
        setattr(parent, s, sites[i, s])
        for B in sites[i, s].B:
            B.data.copy_(torch.randn(B.shape, generator=g) * 0.05)
    return sites, named


def tensors_of(sites, named, pick):
    out = {key: pick(p) for key, p in named.items()}
    for (i, s), site in sites.items():
        out[f"layers.{i}.{s}.B"] = torch.stack([pick(B) for B in site.B])
    return out


def run_heads(model, folder, c, data):
    sites, named = attach(model, c)
    save_file(tensors_of(sites, named, lambda p: p.detach().clone()), folder / "init.safetensors")
    prefix = c["reducer"].get("policy") == "prefix"
    reducer = Prefix(sites, model, **c["reducer"]) if prefix else reference.Reducer(sites, **c["reducer"])
    parameters = [*named.values(), *(B for site in sites.values() for B in site.B)]
    optimizer = torch.optim.AdamW(parameters, lr=c["lr"], weight_decay=c["weightDecay"])
    trajectory = []
    for step, (ids, labels) in enumerate(data, 1):
        optimizer.zero_grad(set_to_none=True)
        reducer.begin(step)
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        if step == 1:
            save_file(tensors_of(sites, named, lambda p: p.grad.clone()), folder / "grads.safetensors")
        reducer.observe()
        if c["clipNorm"]:
            torch.nn.utils.clip_grad_norm_(parameters, c["clipNorm"])
        trajectory.append({"step": step, "loss": loss.item(), "frozen": [list(h) for h in reducer.heads if h in reducer.frozen],
                           **({"frozenLayers": reducer.below} if prefix else {}),
                           "importance": {f"{i}.{s}.{j}": v for (i, s, j), v in reducer.score.items()}})
        optimizer.step()
        reducer.select(step)
    save_file(tensors_of(sites, named, lambda p: p.detach().clone()), folder / "final.safetensors")
    return model, trajectory


def run_peft(model, folder, c, data):
    shared = dict(r=c["rank"], target_modules=c["targets"], task_type="CAUSAL_LM")
    bare = model
    if c["name"] == "vera":
        config = VeraConfig(**shared, d_initial=c["dInitial"], projection_prng_key=c["seed"])
    elif c["name"] == "adalora":
        o = c["adalora"]
        config = AdaLoraConfig(**{**shared, "r": 8}, init_r=c["rank"], target_r=o["targetRank"], lora_alpha=c["alpha"], tinit=o["tInit"], tfinal=o["tFinal"],
                               deltaT=o["deltaT"], beta1=o["beta1"], beta2=o["beta2"], orth_reg_weight=o["orthogonality"], total_step=STEPS)
    else:
        config = LoraConfig(**shared, lora_alpha=c["alpha"], use_rslora=c["rsLora"], use_dora=c["dora"])
    model = get_peft_model(model, config)
    g = torch.Generator().manual_seed(c["seed"] + 2)
    named = {}
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        parts = name.split(".")
        where = parts.index("layers")
        role = {"lora_A": "A", "lora_B": "B", "lora_magnitude_vector": "magnitude",
                "lora_E": "lambda", "vera_lambda_d": "lambda_d", "vera_lambda_b": "lambda_b"}[parts[where + 4]]
        if role in ("B", "lambda_b", "lambda"):
            p.data.copy_(torch.randn(p.shape, generator=g) * (0.3 if c["name"] == "adalora" else 0.05))
        named[f"layers.{parts[where + 1]}.{parts[where + 3]}.{role}"] = p
    if c["dora"]:                                                  # magnitudes off their start, so that the norm matters
        for key, p in named.items():
            if key.endswith("magnitude"):
                p.data.mul_(1 + 0.1 * torch.rand(p.shape, generator=g))
    form = lambda k, t: t[None] if k.endswith(".B") else t[:, 0] if k.endswith(".lambda") else t
    shaped = lambda pick: {k: form(k, pick(p)).contiguous() for k, p in named.items()}
    frozen = {"shared.A": model.base_model.vera_A["default"], "shared.B": model.base_model.vera_B["default"][None]} if c["name"] == "vera" else {}
    save_file({**shaped(lambda p: p.detach().clone()), **frozen}, folder / "init.safetensors")
    optimizer = torch.optim.AdamW(named.values(), lr=c["lr"], weight_decay=c["weightDecay"])
    trajectory = []
    for step, (ids, labels) in enumerate(data, 1):
        optimizer.zero_grad()
        plain = bare(input_ids=ids, labels=labels).loss            # without AdaLoRA's penalty
        if step == 1:
            plain.backward()
            save_file(shaped(lambda p: p.grad.clone()), folder / "grads.safetensors")
            optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        if c["clipNorm"]:
            torch.nn.utils.clip_grad_norm_(named.values(), c["clipNorm"])
        optimizer.step()
        line = {"step": step, "loss": plain.item(), "frozen": []}
        if c["name"] == "adalora":
            model.base_model.update_and_allocate(step)
            line["ranks"] = {k[:-len(".lambda")]: int((p != 0).sum()) for k, p in named.items() if k.endswith(".lambda")}
        trajectory.append(line)
    save_file({**shaped(lambda p: p.detach().clone()), **frozen}, folder / "final.safetensors")
    return model, trajectory


for number, (case, changes) in enumerate(CASES.items(), 1):
    if sys.argv[1:] and case not in sys.argv[1:]:
        continue
    number = changes.get("seed", number)
    folder = HERE / case
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    c = {"name": "effilora", "seed": number, "targets": reference.SITES, "heads": HEADS, "rank": RANK, "alpha": 2 * RANK, "lr": 1e-2,
         "share": "global", "router": "site", "rsLora": False, "dora": False, "dInitial": 0.1, "clipNorm": 0, "weightDecay": 0,
         **{k: v for k, v in changes.items() if k not in ("model", "reducer")}, "reducer": {**REDUCER, **changes.get("reducer", {})}}
    model = base_model(folder, number, changes.get("model", {}))
    data = batches(folder, number)
    model, trajectory = (run_peft if c["name"] in ("lora", "adalora", "vera") else run_heads)(model, folder, c, data)
    (folder / "case.json").write_text(json.dumps(c, indent=1))
    (folder / "trajectory.json").write_text(json.dumps(trajectory))
    with torch.no_grad():
        save_file({"logits": model(input_ids=data[0][0]).logits}, folder / "final_logits.safetensors")
    print(case, trajectory[0]["loss"], trajectory[-1]["loss"])
