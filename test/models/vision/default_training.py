"""Runs the training of the default vision-language model on a tiny random language model and emoji that are plain squares: once straight
through, once killed and run on. Prints as JSON whether both end in the same numbers, and what transformers makes of the folder."""

import argparse
import json
import os
import pathlib
import signal
import sys
import tempfile

import numpy as np
import torch
from PIL import Image
from transformers import Idefics3ForConditionalGeneration, LlamaConfig, LlamaForCausalLM

sys.path.insert(0, sys.argv[1])
import train
from folder import write_folder
from network import RESERVED, VISION, Language, Rows, as_input

torch.set_num_threads(1)
VISION["num_hidden_layers"] = 1


class TinyLanguage(Language):
    def __init__(self, _file):
        torch.manual_seed(3)
        shape = LlamaConfig(hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, vocab_size=300, tie_word_embeddings=True)
        self.model = LlamaForCausalLM(shape).eval().requires_grad_(False)
        self.model.model.norm.weight.data.normal_(1, 0.3)
        self.rows = self.model.get_input_embeddings().weight
        self.rows.data.normal_()
        self.ids = lambda text: [20 + sum(word.encode()) % 280 for word in text.split()]
        self.begin, self.middle, self.end = [1, 17], [2, 18, 1, 19], [2]


def squares(_packages):
    random = np.random.default_rng(5)
    return {name: [Image.new("RGBA", (64, 64), (*(int(v) for v in random.integers(0, 256, 3)), 255))] for name in train.NAMES}


train.Language, train.load_sprites = TinyLanguage, squares


def run(out: pathlib.Path, **more) -> train.Training:
    given = {"language": None, "packages": None, "out": out, "seed": 1, "threads": 1, "steps": [2, 2, 1], "pictures": [2, 1, 1], "questions": 2, "measure_steps": 100}
    return train.Training(argparse.Namespace(**{**given, "save_seconds": 1e9, **more}))


def killed_after(out: pathlib.Path, saves: int) -> None:
    """A child that saves after every step, killed after so many of them."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        training = run(out, save_seconds=0)
        save = training.save
        training.save = lambda: (save(), os.write(tell, b"."))
        training.run()
        os._exit(0)
    for _ in range(saves):
        os.read(told, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def finished(training: train.Training) -> dict:
    sys.stdout.flush()
    shown, silent = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    training.run()
    sys.stdout.flush()
    os.dup2(shown, 1)
    return training.eyes.state_dict()


def plain(training: train.Training, folder: pathlib.Path) -> dict:
    """The folder with the language model's tensors in transformers' own model, one question after the other, against what is trained with."""
    language = training.language
    write_folder(folder, language, training.eyes.state_dict())
    model, loaded = Idefics3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    model.model.text_model.load_state_dict(language.model.model.state_dict())
    model.tie_weights()
    model.eval()
    made = train.scene(training.sprites, 1, 4)
    pixels = as_input([made.pixels])
    conversations = [("what is it", "a red thing"), ("how many are there", "two"), ("describe it", "a thing on a ground")]
    features = training.eyes.half().float()(pixels)[1]
    rows = Rows(language, [conversations], features.shape[1])
    with torch.no_grad():
        loss, _ = rows.loss(language, features)
        sums, terms = 0.0, 0
        around, whole = RESERVED["<fake_token_around_image>"], RESERVED["<global-img>"]
        picture = [around, whole, *[RESERVED["<image>"]] * features.shape[1], around]
        for question, answer in conversations:
            prompt = language.begin + picture + language.ids(question) + language.middle
            answered = language.ids(answer) + language.end
            ids = torch.tensor([prompt + answered])
            labels = torch.tensor([[-100] * len(prompt) + answered])
            sums += model(input_ids=ids, pixel_values=pixels[None], labels=labels).loss.item() * len(answered)
            terms += len(answered)
    strangers = [name for name in loaded["missing_keys"] if "text_model" not in name and "lm_head" not in name]
    return {"loss": loss.item(), "transformers": sums / terms, "missing": strangers, "unexpected": sorted(loaded["unexpected_keys"])}


with tempfile.TemporaryDirectory() as place:
    place = pathlib.Path(place)
    killed_after(place / "killed", int(sys.argv[2]))
    resumed = run(place / "killed")
    at = [resumed.stage, resumed.step]
    straight = run(place / "straight")
    begun = {name: value.clone() for name, value in straight.eyes.state_dict().items()}
    one, other = finished(straight), finished(resumed)
    print(
        json.dumps(
            {
                "resumedAt": at,
                "different": [name for name in one if not torch.equal(one[name], other[name])],
                "unmoved": [name for name in one if torch.equal(one[name], begun[name])],
                **plain(straight, place / "folder"),
            }
        )
    )
