"""The parts of a StableDiffusionPipeline, small, as diffusers and transformers have them."""

import gzip
import json
import pathlib

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TOKENS = 8192  # of CLIP's 49,408: its bytes, its 7,678 most used merges and two marks
POSITIONS = 32
WIDTH = 256
LATENT = (4, 16, 16)
# What readers take for granted where a checkpoint doesn't say.
SCALE = 0.18215
START, END = "<|startoftext|>", "<|endoftext|>"


def vae() -> AutoencoderKL:
    sides = {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}
    model = AutoencoderKL(**sides, block_out_channels=(32, 64, 96), layers_per_block=1, latent_channels=4, norm_num_groups=32, sample_size=64, scaling_factor=SCALE)
    _nearly_nothing(model)
    with torch.no_grad():
        model.quant_conv.bias[4:] = -6  # begins with little noise: with as much as there is signal it learns little for long
    return model


def _nearly_nothing(model: nn.Module) -> None:
    """What residual blocks add at the start: so it learns sooner."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("conv2.weight"):
                p *= 0.1


def text_encoder() -> CLIPTextModel:
    ids = {"bos_token_id": TOKENS - 2, "eos_token_id": TOKENS - 1, "pad_token_id": TOKENS - 1}
    shape = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 4, "num_attention_heads": 4, "projection_dim": WIDTH}
    return CLIPTextModel(CLIPTextConfig(vocab_size=TOKENS, max_position_embeddings=POSITIONS, hidden_act="quick_gelu", **shape, **ids))


def unet() -> UNet2DConditionModel:
    model = UNet2DConditionModel(
        **{"sample_size": LATENT[1], "in_channels": LATENT[0], "out_channels": LATENT[0], "layers_per_block": 1},
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        **{"block_out_channels": (64, 128, 160), "cross_attention_dim": WIDTH, "attention_head_dim": 4, "norm_num_groups": 32},
    )
    _nearly_nothing(model)
    nn.init.zeros_(model.conv_out.weight)
    return model


def scheduler() -> DDIMScheduler:
    noise = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
    return DDIMScheduler(**noise, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1, timestep_spacing="trailing")


def _bytes() -> list[str]:
    """How CLIP writes the 256 bytes, in its order."""
    printed = [*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1), *range(ord("\u00ae"), ord("\u00ff") + 1)]
    return [chr(b) for b in printed] + [chr(256 + i) for i in range(256 - len(printed))]


def write_tokenizer(clip_merges: pathlib.Path, folder: pathlib.Path) -> None:
    """CLIP's byte pair encoding cut to its most used entries. `clip_merges`: bpe_simple_vocab_16e6.txt.gz"""
    folder.mkdir(parents=True, exist_ok=True)
    letters = _bytes()
    lines = gzip.decompress(clip_merges.read_bytes()).decode().split("\n")[1:]
    merges = lines[: TOKENS - 2 - 2 * len(letters)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges), START, END]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    marks = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(marks, indent=2) + "\n")
    shape = {"tokenizer_class": "CLIPTokenizer", "model_max_length": POSITIONS, "do_lower_case": True, "add_prefix_space": False, "errors": "replace"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**shape, **marks}, indent=2) + "\n")


def token_ids(tokenizer: CLIPTokenizer, captions: list[str]) -> torch.Tensor:
    """[captions, 32]"""
    return tokenizer(captions, padding="max_length", truncation=True, max_length=POSITIONS, return_tensors="pt").input_ids


@torch.no_grad()
def whiten(model: AutoencoderKL, mean: torch.Tensor, deviation: torch.Tensor) -> None:
    """Makes the latents' channels of mean 0 and, times the scaling factor, of deviation 1, without changing what pictures become:
    the two 1x1 convolutions around the latents take it up. mean, deviation: [4], of the latents as they are."""
    into, out_of = model.quant_conv, model.post_quant_conv
    factor = 1 / (deviation * SCALE)
    out_of.bias += (out_of.weight[:, :, 0, 0] * mean).sum(1)
    out_of.weight /= factor[:, None, None]
    into.bias[:4] = (into.bias[:4] - mean) * factor
    into.weight[:4] *= factor[:, None, None, None]
    into.bias[4:] += 2 * factor.log()


class Average:
    """The moving average of a model's weights."""

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items() if value.is_floating_point()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        now = min(self.decay, (1 + step) / (10 + step))
        values = model.state_dict()
        torch._foreach_lerp_(list(self.weights.values()), [values[name] for name in self.weights], 1 - now)
