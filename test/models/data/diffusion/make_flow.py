"""Makes a tiny random Z-Image pipeline by diffusers, in half precision, with its transformer's output and gradients, those of EffiLoRA on it,
what it makes of texts, and a picture: PYTHONPATH=PACKAGES python make_flow.py (diffusers 0.42, transformers 5.24, torch 2.13; as make_unets.py)"""

import math
import pathlib
import re
import shutil
import sys

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

here = pathlib.Path(__file__).parent
folder = here / "pipelines" / "z-image"
sys.path.append(str(pathlib.Path(__file__).parents[3] / "parity"))
from effilora_torch import Site  # noqa: E402

HEADS, RANK, ALPHA = 2, 3, 6
TARGETS = ["to_q", "to_k", "to_out", "w1", "w2"]
PROMPTS = ["a photo of a cat", "", "the quick brown fox jumps over the lazy dog " * 3]


def spread(model):
    """Weights of the size that trained ones have, no norm at 1 and no bias at 0, all of them numbers that 16 bits hold."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            scale = 0.9 / math.sqrt(value[0].numel()) if value.ndim > 1 else 0.2
            made = torch.randn_like(value) * scale + (1.0 if "norm" in name or name == "cap_embedder.0.weight" else 0.0)
            if name == "t_embedder.mlp.0.weight":
                # Its size is fixed: so that the file packs well, 32 rows again and again.
                made = made[:32].repeat(32, 1)
            value.copy_(made.half().float())
    return model.eval()


def place(name: str):
    """Block and site of a linear."""
    found = re.match(r"(noise_refiner|context_refiner|layers)\.(\d+)\.((?:attention|feed_forward)\..*)$", name)
    if not found:
        return None
    first = {"noise_refiner": 0, "context_refiner": 1, "layers": 2}[found[1]]
    return first + int(found[2]), found[3].replace("to_out.0", "to_out")


def adapt(model):
    """EffiLoRA on the targets: one A for each input width."""
    generator = torch.Generator().manual_seed(3)
    shared, sites = {}, {}
    for name, module in list(model.named_modules()):
        found = place(name) if isinstance(module, torch.nn.Linear) else None
        if not found or found[1].split(".")[-1] not in TARGETS:
            continue
        width = module.weight.shape[1]
        if width not in shared:
            shared[width] = torch.nn.Parameter((torch.rand(RANK, width, generator=generator) * 2 - 1) / math.sqrt(width))
        own = Site(module, [shared[width]], HEADS, RANK, ALPHA, generator)
        for B in own.B:
            B.data.copy_(torch.randn(B.shape, generator=generator) * 0.2)
        sites[f"layers.{found[0]}.transformer.{found[1]}"] = own
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, own)
    return shared, sites


def channels_last(x):
    return x.permute(0, 2, 3, 1).contiguous()


torch.manual_seed(5)
transformer = spread(
    ZImageTransformer2DModel(
        in_channels=4, dim=24, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=10, axes_dims=[4, 2, 6], axes_lens=[192, 16, 16]
    )
)
tokenizer = PreTrainedTokenizerFast.from_pretrained(here.parent / "tokenizer", pad_token="<|end|>")
text = Qwen3Config(
    vocab_size=len(tokenizer), hidden_size=10, intermediate_size=14, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=4,
    max_position_embeddings=512, rope_parameters={"rope_type": "default", "rope_theta": 1e6}, pad_token_id=0, tie_word_embeddings=True,
)
vae = AutoencoderKL(
    latent_channels=4, block_out_channels=(4, 4), layers_per_block=1, norm_num_groups=2, down_block_types=("DownEncoderBlock2D",) * 2,
    up_block_types=("UpDecoderBlock2D",) * 2, use_quant_conv=False, use_post_quant_conv=False, scaling_factor=0.3611, shift_factor=0.1159,
)
pipe = ZImagePipeline(
    scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0, use_dynamic_shifting=False),
    vae=spread(vae), text_encoder=spread(Qwen3Model(text)), tokenizer=tokenizer, transformer=transformer,
)
shutil.rmtree(folder, ignore_errors=True)
pipe.to(torch.float16).save_pretrained(folder)
pipe.to(torch.float32)
# It is the one that lies beside: once.
shutil.rmtree(folder / "tokenizer")
pipe.set_progress_bar_config(disable=True)

features = pipe.encode_prompt(list(PROMPTS), do_classifier_free_guidance=False)[0]
tensors = {f"features.{i}": one for i, one in enumerate(features)}
print([len(one) for one in features])

# One step of two pictures, whose texts are of other lengths.
sample = torch.randn(2, 4, 8, 12, requires_grad=True)
contexts = [torch.randn(5, 10, requires_grad=True), torch.randn(40, 10, requires_grad=True)]
times = torch.tensor([7.0, 931.0])


def run(prefix: str, learned: dict) -> None:
    given = list(sample.unsqueeze(2).unbind(0))
    out = -torch.stack(transformer(given, (1000 - times) / 1000, contexts, return_dict=False)[0]).squeeze(2)
    direction = tensors.setdefault("direction", torch.randn(out.shape))
    names = {"sample": sample, "context.0": contexts[0], "context.1": contexts[1], **learned}
    gradients = torch.autograd.grad((out * direction).sum(), list(names.values()))
    tensors[f"{prefix}out"] = out
    tensors.update({f"{prefix}gradient:{key}": gradient for key, gradient in zip(names, gradients)})


tensors.update({"sample": sample, "context.0": contexts[0], "context.1": contexts[1], "times": times})
run("", {})

# A picture in 20 steps, with guidance, of the pipeline as it lies in the folder.
size = 2 * 6 * 8 * 4
noise = torch.tensor([1.4 * math.sin(1 + 2.3 * i + 0.37 * i * i) for i in range(size)]).reshape(2, 6, 8, 4).permute(0, 3, 1, 2).contiguous()
for name, guidance, count in (("guided", 2.0, 2), ("plain", 0.0, 1)):
    told = dict(height=12, width=16, num_inference_steps=20, guidance_scale=guidance, negative_prompt=["the dog"] * count)
    prompts = [PROMPTS[2], PROMPTS[0]][:count]
    with torch.no_grad():
        latents = pipe(list(prompts), latents=noise[:count], output_type="latent", **told).images
        picture = pipe(list(prompts), latents=noise[:count], output_type="np", **told).images
    tensors[f"{name}:latents"], tensors[f"{name}:picture"] = channels_last(latents), torch.tensor(picture * 255)
    print(name, latents.abs().max().item())

shared, sites = adapt(transformer)
learned = {f"shared.A.transformer.{width}": value for width, value in shared.items()}
for key, site in sites.items():
    learned[f"{key}.router"] = site.router
    learned.update({f"{key}.B.{j}": B for j, B in enumerate(site.B)})
run("adapted:", learned)
tensors.update({f"adapter:{key}": value for key, value in learned.items()})
grouped: dict[str, torch.Tensor] = {}
for key, value in tensors.items():
    if found := re.match(r"(.*\.B)\.0$", key):
        value = torch.stack([tensors[f"{found[1]}.{j}"] for j in range(HEADS)])
        key = found[1]
    elif re.search(r"\.B\.\d$", key):
        continue
    grouped[key] = value.detach().contiguous().float()
save_file(grouped, folder / "expected.safetensors")
print(sum(value.numel() for value in transformer.parameters()), len(sites), (folder / "expected.safetensors").stat().st_size)
