"""Writes what train.py trained as a Hugging Face folder without its language model, which `effilora_text_model` names:

    python folder.py --language SmolLM2-135M-Instruct.Q4_1.gguf --state FOLDER/state.pt --out ..

Tower and connector in f16, under transformers' names; configuration, processor and chat template in transformers' form."""

import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import Idefics3ImageProcessorPil

from network import RESERVED, SCALE, VISION, Language, config

TEMPLATE = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>' }}{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""


def written(folder: pathlib.Path, name: str, content: dict) -> None:
    (folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def write_folder(folder: pathlib.Path, language: Language, eyes: dict[str, torch.Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    kept = {f"model.{name}": value.half().contiguous() for name, value in eyes.items() if name.startswith(("vision_model.", "connector."))}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    shape = config(language).to_dict()
    written(folder, "config.json", {**shape, "architectures": ["Idefics3ForConditionalGeneration"], "effilora_text_model": "smollm2-135m"})
    side = {"longest_edge": VISION["image_size"]}
    pictures = Idefics3ImageProcessorPil(size=side, max_image_size=side, do_image_splitting=False)
    written(folder, "preprocessor_config.json", json.loads(pictures.to_json_string()))
    tokens = (VISION["image_size"] // VISION["patch_size"] // SCALE) ** 2
    written(folder, "processor_config.json", {"image_seq_len": tokens, "processor_class": "Idefics3Processor"})
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    # The text model's own tokenizer, with other names for four tokens that texts never have.
    decoder = {str(i): {"content": name, **flags} for name, i in RESERVED.items()}
    written(folder, "tokenizer_config.json", {"added_tokens_decoder": decoder, "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"})
    (folder / "chat_template.jinja").write_text(TEMPLATE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("language", "state", "out"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    given = parser.parse_args()
    write_folder(given.out, Language(given.language), torch.load(given.state, weights_only=True)["eyes"])
