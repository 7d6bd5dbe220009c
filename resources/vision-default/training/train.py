"""Trains what the default vision-language model sees with, in three stages. "parts": of each picture half is looked at, and each feature
is made to hold the words of what is there, by the embeddings that the language model has of them, without running it. "words": the
same on whole pictures. "answers": questions through the frozen language model.

    python train.py --language SmolLM2-135M-Instruct.Q4_1.gguf --packages node_modules --out FOLDER

Runs on from FOLDER/state.pt where that is there: killed at any moment and run again, it ends in the same numbers (with the same
versions, processor and threads). `--packages` is the folder into which
`npm install --ignore-scripts emoji-datasource-google@16.0.0 @lobehub/fluent-emoji-3d@1.1.0` put the emoji.
Python packages: torch, transformers, gguf, pillow, numpy."""

import argparse
import json
import os
import pathlib
import time

import numpy as np
import torch

from losses import CELL, chosen_cells, patch_loss, word_loss
from network import Eyes, Language, Rows, as_input, config
from optimizer import optimizers
from scenes import COLOR_NAMES, NAMES, SIDE, Scene, load_sprites, scene
from texts import concepts, questions

HELD_OUT = 1 << 30  # scenes from this number on are never trained on
STAGES = ["parts", "words", "answers"]
CELLS = (SIDE // CELL) ** 2
RATES = [{"tower": 2e-3, "connector": 1e-3}, {"tower": 2e-3, "connector": 1e-3}, {"tower": 2e-4, "connector": 5e-4}]


def pace(stage: int, step: int, steps: int) -> float:
    """Of the learning rate: up and level; down; up, level and down."""
    rise, fall = (step + 1) / 100, (steps - step) / steps
    return [min(1, rise), fall, min(1, rise, fall / 0.3)][stage]


def settings() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("language", "packages", "out"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, nargs=3, default=[1400, 250, 500], help="of each stage")
    parser.add_argument("--pictures", type=int, nargs=3, default=[32, 32, 8], help="a step, of each stage")
    parser.add_argument("--questions", type=int, default=3, help="about a picture")
    parser.add_argument("--save-seconds", type=float, default=180)
    parser.add_argument("--measure-steps", type=int, default=200)
    return parser.parse_args()


class Training:
    def __init__(self, given: argparse.Namespace):
        self.given = given
        torch.set_num_threads(given.threads)
        self.sprites = load_sprites(given.packages)
        self.language = Language(given.language)
        self.words = {kind: self.language.words(names) for kind, names in concepts().items()}
        torch.manual_seed(given.seed)
        self.eyes = Eyes(config(self.language), 1 + len(NAMES), len(COLOR_NAMES))
        self.optimizers = optimizers(self.eyes)
        self.stage, self.step = 0, 0
        self.state = given.out / "state.pt"
        self.saved = time.monotonic()
        given.out.mkdir(parents=True, exist_ok=True)
        if self.state.exists():
            self._restore()

    def _told(self) -> dict:
        """What the numbers depend on."""
        return {name: getattr(self.given, name) for name in ("seed", "threads", "steps", "pictures", "questions")}

    def _restore(self) -> None:
        state = torch.load(self.state, weights_only=True)
        if state["told"] != self._told():
            raise SystemExit(f"{self.state} was made with {state['told']}, not with {self._told()}")
        self.eyes.load_state_dict(state["eyes"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(kept)
        self.stage, self.step = state["stage"], state["step"]

    def save(self) -> None:
        state = {"eyes": self.eyes.state_dict(), "optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}
        aside = self.state.with_suffix(".new")
        with open(aside, "wb") as file:
            torch.save({**state, "stage": self.stage, "step": self.step, "told": self._told()}, file)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(self.state)
        self.saved = time.monotonic()

    def loss(self, first: int, number: int) -> tuple[torch.Tensor, dict]:
        """Over the scenes from `first` on, by the stage; with how much of what was said is right."""
        scenes = [scene(self.sprites, self.given.seed, first + i) for i in range(number)]
        random = np.random.default_rng([self.given.seed, first, 1])
        cells = chosen_cells(scenes, CELLS // 2, random) if self.stage == 0 else torch.arange(CELLS).expand(number, -1)
        states, features = self.eyes(as_input([one.pixels for one in scenes]), cells)
        seen, told = patch_loss(self.eyes, states, scenes, cells)
        if self.stage < 2:
            loss, words = word_loss(features, scenes, cells, self.words)
            return loss + seen, {**told, **words}
        loss, answers = self._answers(features, scenes, first)
        return loss + 0.2 * seen, {**told, **answers}

    def _answers(self, features: torch.Tensor, scenes: list[Scene], first: int) -> tuple[torch.Tensor, dict]:
        asked = [questions(one, np.random.default_rng([self.given.seed, first + i, 2]), self.given.questions) for i, one in enumerate(scenes)]
        rows = Rows(self.language, [[(question, answer) for _, question, answer in each] for each in asked], features.shape[1])
        loss, right = rows.loss(self.language, features)
        kinds = [kind for each in asked for kind, _, _ in each]
        share = lambda of: sum(of) / len(of)
        by_kind = {kind: share([r for r, k in zip(right, kinds) if k == kind]) for kind in sorted(set(kinds))}
        return loss, {"answers": share(right), **by_kind}

    def one_step(self) -> float:
        number = self.given.pictures[self.stage]
        before = sum(steps * pictures for steps, pictures in zip(self.given.steps[: self.stage], self.given.pictures))
        loss, _ = self.loss(before + self.step * number, number)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.eyes.parameters(), 1.0)
        now = pace(self.stage, self.step, self.given.steps[self.stage])
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = RATES[self.stage][group["part"]] * now
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        return loss.item()

    @torch.no_grad()
    def measure(self, pictures: int = 48) -> dict:
        """On held-out scenes."""
        loss, told = self.loss(HELD_OUT, pictures)
        return {name: round(value, 4) for name, value in {"loss": loss.item(), **told}.items()}

    def tell(self, **what) -> None:
        print(json.dumps({"stage": STAGES[self.stage], "step": self.step, **what, "cpu": round(time.process_time())}), flush=True)

    def run(self) -> None:
        while True:
            while self.step < self.given.steps[self.stage]:
                loss = self.one_step()
                if self.step % 20 == 0:
                    self.tell(loss=round(loss, 4))
                if self.step % self.given.measure_steps == 0 or self.step == self.given.steps[self.stage]:
                    self.tell(heldOut=self.measure())
                if time.monotonic() - self.saved > self.given.save_seconds:
                    self.save()
            self.save()
            if self.stage + 1 == len(STAGES):
                return
            self.stage, self.step = self.stage + 1, 0
            if STAGES[self.stage] == "answers":
                self.optimizers = optimizers(self.eyes)


if __name__ == "__main__":
    Training(settings()).run()
