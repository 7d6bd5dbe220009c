"""How many questions about held-out scenes the folder's model answers to the letter, greedily, by kind of question and form of answer:

    python measure.py --language SmolLM2-135M-Instruct.Q4_1.gguf --packages node_modules --folder .. [--scenes 500]

Prints JSON: share right and number of questions. `blind`: the same questions with another scene's picture, for what can be guessed."""

import argparse
import json
import pathlib
from collections import defaultdict

import numpy as np
import torch
from safetensors.torch import load_file

from network import Eyes, Language, Rows, as_input, config
from scenes import load_sprites, scene
from texts import IN_ONE_WORD, KINDS, questions
from train import HELD_OUT

# Not the scenes that the training measures itself by.
FIRST = HELD_OUT + 10_000
AT_ONCE = 8


def load_eyes(folder: pathlib.Path, language: Language) -> Eyes:
    eyes = Eyes(config(language), 1, 1)
    kept = {name.removeprefix("model."): value.float() for name, value in load_file(folder / "model.safetensors").items()}
    missing, unexpected = eyes.load_state_dict(kept, strict=False)
    if unexpected or any(not name.startswith("patch_") for name in missing):
        raise SystemExit(f"{folder} lacks {missing} or has {unexpected}")
    return eyes.eval()


@torch.no_grad()
def measure(eyes: Eyes, language: Language, sprites: dict, seed: int, number: int) -> dict:
    right = defaultdict(list)
    for first in range(FIRST, FIRST + number, AT_ONCE):
        scenes = [scene(sprites, seed, first + i) for i in range(AT_ONCE)]
        asked = [questions(one, np.random.default_rng([seed, first + i, 2]), len(KINDS)) for i, one in enumerate(scenes)]
        features = eyes(as_input([one.pixels for one in scenes]))[1]
        rows = Rows(language, [[(question, answer) for _, question, answer in each] for each in asked], features.shape[1])
        keys = [(kind, "one word" if question.endswith(IN_ONE_WORD) else "sentence") for each in asked for kind, question, _ in each]
        for seen, with_features in (("seen", features), ("blind", features.roll(1, 0))):
            for (kind, form), is_right in zip(keys, rows.loss(language, with_features)[1]):
                right[f"{kind}, {form}, {seen}"].append(is_right)
                right[f"all, {form}, {seen}"].append(is_right)
    return {name: {"right": round(sum(of) / len(of), 3), "questions": len(of)} for name, of in sorted(right.items())}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("language", "packages", "folder"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenes", type=int, default=500)
    given = parser.parse_args()
    language = Language(given.language)
    print(json.dumps(measure(load_eyes(given.folder, language), language, load_sprites(given.packages), given.seed, given.scenes), indent=2))
