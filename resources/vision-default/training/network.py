"""The parts: a small SigLIP tower with Idefics3's connector, trained; the language model, frozen; and texts laid out as batches."""

import math
import pathlib

import numpy as np
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, Idefics3Config
from transformers.models.idefics3.modeling_idefics3 import Idefics3Connector, Idefics3VisionTransformer

# Ids of the vocabulary that SmolLM2's own training kept for source code's metadata: no row is added, none is changed.
RESERVED = {"<image>": 4, "<fake_token_around_image>": 6, "<global-img>": 7, "<end_of_utterance>": 16}
VISION = {
    **{"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 8, "num_attention_heads": 3},
    **{"image_size": 128, "patch_size": 8, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "model_type": "idefics3_vision"},
}
SCALE = 4


class Language:
    """A language model from a GGUF file as its blocks give it, in f32; nothing of it is trained."""

    def __init__(self, file: pathlib.Path):
        place = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
        self.tokenizer = AutoTokenizer.from_pretrained(**place)
        self.model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32).eval().requires_grad_(False)
        self.rows = self.model.get_input_embeddings().weight
        ids = lambda text: self.tokenizer(text, add_special_tokens=False)["input_ids"]
        self.begin = ids("<|im_start|>user\n")
        self.middle = ids("<|im_end|>\n<|im_start|>assistant\n")
        self.end = ids("<|im_end|>")
        self.ids = ids

    def words(self, names: list[str]) -> torch.Tensor:
        """The mean of each name's token embeddings, [names, hidden]."""
        return torch.stack([self.rows[self.ids(f" {name}")].mean(0) for name in names])


def config(language: Language) -> Idefics3Config:
    text = language.model.config.to_dict()
    for foreign in ["quantization_config", "_name_or_path", "architectures", "gguf_file"]:
        text.pop(foreign, None)
    made = Idefics3Config(vision_config=VISION, text_config=text, scale_factor=SCALE, image_token_id=RESERVED["<image>"], pad_token_id=2, tie_word_embeddings=True)
    for part in (made, made.vision_config, made.text_config):
        part._attn_implementation = "sdpa"
    return made


class Eyes(nn.Module):
    """Tower and connector, named as in transformers' Idefics3, and three heads that only the training has."""

    def __init__(self, shape: Idefics3Config, names: int, colors: int):
        super().__init__()
        self.vision_model = Idefics3VisionTransformer(shape.vision_config)
        self.connector = Idefics3Connector(shape)
        width = shape.vision_config.hidden_size
        self.patch_name = nn.Linear(width, names)
        self.patch_color = nn.Linear(width, colors)
        self._start()

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # About as long as the language model's embeddings.
        self.connector.modality_projection.proj.weight.data *= 0.1
        embeddings = self.vision_model.embeddings
        nn.init.xavier_uniform_(embeddings.patch_embedding.weight.view(embeddings.embed_dim, -1))
        nn.init.zeros_(embeddings.patch_embedding.bias)
        side = round(math.sqrt(embeddings.position_embedding.num_embeddings))
        embeddings.position_embedding.weight.data = waves(side, embeddings.embed_dim)

    def forward(self, pixels: torch.Tensor, cells: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """pixels [pictures, 3, side, side]; cells [pictures, kept]: those blocks of patches that are looked at, in any order (all if None).
        Returns the patches' states [pictures, kept * SCALE^2, width], cell by cell, and the cells' features [pictures, kept, hidden]."""
        tower = self.vision_model
        side = pixels.shape[-1] // tower.patch_size
        seen = torch.ones(len(pixels), side, side, dtype=torch.bool)
        states = tower.embeddings(pixel_values=pixels, patch_attention_mask=seen)
        patches = patches_of(side, cells if cells is not None else torch.arange((side // SCALE) ** 2).expand(len(pixels), -1))
        states = states.gather(1, patches[:, :, None].expand(-1, -1, states.shape[-1]))
        states = tower.post_layernorm(tower.encoder(inputs_embeds=states).last_hidden_state)
        # The connector's pixel shuffle: a cell's patches row by row, end to end.
        return states, self.connector.modality_projection(states.reshape(len(pixels), -1, SCALE**2 * states.shape[-1]))


def patches_of(side: int, cells: torch.Tensor) -> torch.Tensor:
    """The patches of each cell, row by row, of `side` patches a side, [pictures, kept * SCALE^2]."""
    inside = torch.arange(SCALE)[:, None] * side + torch.arange(SCALE)
    first = cells // (side // SCALE) * SCALE * side + cells % (side // SCALE) * SCALE
    return (first[:, :, None] + inside.reshape(-1)).flatten(1)


def waves(side: int, width: int) -> torch.Tensor:
    """Sines and cosines of row and column as the position embeddings' start, [side * side, width]."""
    frequencies = 1 / 10000 ** (torch.arange(width // 4) / (width // 4))
    along = lambda at: torch.cat([torch.sin(at[:, None] * frequencies), torch.cos(at[:, None] * frequencies)], 1)
    at = torch.arange(side * side)
    return torch.cat([along(at // side), along(at % side)], 1)


def as_input(pictures: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()


class Rows:
    """Several questions about one picture as one row: they share the picture's tokens and don't see each other."""

    def __init__(self, language: Language, conversations: list[list[tuple[str, str]]], tokens: int):
        around, whole = RESERVED["<fake_token_around_image>"], RESERVED["<global-img>"]
        start = [*language.begin, around, whole, *[RESERVED["<image>"]] * tokens, around]
        self.places = slice(len(language.begin) + 2, len(language.begin) + 2 + tokens)
        rows = [[(language.ids(question) + language.middle, language.ids(answer) + language.end) for question, answer in asked] for asked in conversations]
        length = len(start) + max(sum(len(question) + len(answer) for question, answer in row) for row in rows)
        self.ids = torch.full((len(rows), length), 2)
        self.labels = torch.full((len(rows), length), -100)
        self.positions = torch.zeros(len(rows), length, dtype=torch.long)
        part = torch.full((len(rows), length), -1)  # which question a token belongs to; 0: to all
        self.spans = []
        for r, row in enumerate(rows):
            self.ids[r, : len(start)] = torch.tensor(start)
            self.positions[r, : len(start)] = torch.arange(len(start))
            part[r, : len(start)] = 0
            at = len(start)
            for number, (question, answer) in enumerate(row, 1):
                end = at + len(question) + len(answer)
                self.ids[r, at:end] = torch.tensor(question + answer)
                self.positions[r, at:end] = len(start) + torch.arange(end - at)
                part[r, at:end] = number
                # What a token is to be followed by stands at its own place.
                self.labels[r, at + len(question) - 1 : end - 1] = torch.tensor(answer)
                self.spans.append((r, at + len(question) - 1, end - 1))
                at = end
        same = (part[:, :, None] == part[:, None, :]) | (part[:, None, :] == 0)
        seen = same & torch.ones(length, length, dtype=torch.bool).tril()
        self.mask = torch.zeros(len(rows), 1, length, length).masked_fill(~seen[:, None], torch.finfo(torch.float32).min)

    def hidden(self, language: Language, features: torch.Tensor) -> torch.Tensor:
        """The language model's last hidden states at the labels, [labels, hidden]; features: [pictures, tokens, hidden]."""
        embedded = language.rows[self.ids]
        embedded = torch.cat([embedded[:, : self.places.start], features, embedded[:, self.places.stop :]], 1)
        made = language.model.model(inputs_embeds=embedded, attention_mask=self.mask, position_ids=self.positions, use_cache=False)
        return made.last_hidden_state[self.labels != -100]

    def loss(self, language: Language, features: torch.Tensor) -> tuple[torch.Tensor, list[bool]]:
        """Mean over the label tokens, and for each question whether every token of its answer is the likeliest."""
        logits = self.hidden(language, features) @ language.rows.T
        wanted = self.labels[self.labels != -100]
        right = torch.zeros_like(self.labels, dtype=torch.bool)
        right[self.labels != -100] = logits.argmax(-1) == wanted
        return nn.functional.cross_entropy(logits, wanted), [bool(right[r, a:b].all()) for r, a, b in self.spans]
