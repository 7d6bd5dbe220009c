"""What tower and connector are told of a scene without the language model being run."""

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from network import SCALE, Eyes, patches_of
from scenes import COLOR_NAMES, NAMES, SIDE, Scene

PATCH = 8
CELL = PATCH * SCALE
# A thing counts from this share of a patch, or of a cell, on.
OF_PATCH, OF_CELL = 0.5, 0.06
BACKGROUND_WEIGHT = 0.3


def shares(made: Scene, block: int) -> np.ndarray:
    """How much of each block of pixels is ground (first) and each thing, [1 + things, blocks, blocks]."""
    owners = np.arange(-1, len(made.things))[:, None, None]
    side = SIDE // block
    return (made.owner[None] == owners).reshape(-1, side, block, side, block).mean((2, 4))


def truths(scenes: list[Scene], block: int, least: float) -> tuple[torch.Tensor, torch.Tensor]:
    """For each block what is there (0: ground, else 1 + its place in NAMES) and its colour, -100 for an emoji's: [pictures, blocks] each."""
    made = [_truth(scene, block, least) for scene in scenes]
    return tuple(torch.from_numpy(np.stack(all)) for all in zip(*made))


def _truth(scene: Scene, block: int, least: float) -> tuple[np.ndarray, np.ndarray]:
    share = shares(scene, block)
    share[0] = least
    owner = share.argmax(0).reshape(-1)
    names = np.array([0, *(1 + NAMES.index(thing.name) for thing in scene.things)])
    colors = np.array([COLOR_NAMES.index(thing.color) if thing.color else -100 for thing in scene.things])
    return names[owner], np.concatenate([[COLOR_NAMES.index(scene.ground)], colors])[owner]


def chosen_cells(scenes: list[Scene], kept: int, random: np.random.Generator) -> torch.Tensor:
    """So many cells of each picture, those with things first, but not only: [pictures, kept]."""
    things = truths(scenes, CELL, OF_CELL)[0].numpy() > 0
    return torch.from_numpy(np.argsort(-(things + random.uniform(0, 1.5, things.shape)), axis=1)[:, :kept].copy())


def _weights(names: int) -> torch.Tensor:
    return torch.cat([torch.full((1,), BACKGROUND_WEIGHT), torch.ones(names - 1)])


def _right(said: torch.Tensor, truth: torch.Tensor, where: torch.Tensor) -> float:
    return (said.argmax(1) == truth)[where].float().mean().item()


def patch_loss(eyes: Eyes, states: torch.Tensor, scenes: list[Scene], cells: torch.Tensor) -> tuple[torch.Tensor, dict]:
    """What each patch belongs to, and its colour."""
    patches = patches_of(SIDE // PATCH, cells)
    names, colors = (truth.gather(1, patches) for truth in truths(scenes, PATCH, OF_PATCH))
    said, color = eyes.patch_name(states).transpose(1, 2), eyes.patch_color(states).transpose(1, 2)
    loss = cross_entropy(said, names, weight=_weights(said.shape[1])) + cross_entropy(color, colors)
    return loss, {"patch": _right(said, names, names > 0)}


def word_loss(features: torch.Tensor, scenes: list[Scene], cells: torch.Tensor, words: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict]:
    """Each feature against the language model's embeddings of all words of a kind: what is there, its colour and, where the whole
    picture is seen, how many things there are."""
    names, colors = (truth.gather(1, cells) for truth in truths(scenes, CELL, OF_CELL))
    said = {kind: (features @ rows.T).transpose(1, 2) for kind, rows in words.items()}
    loss = cross_entropy(said["name"], names, weight=_weights(said["name"].shape[1])) + 0.5 * cross_entropy(said["color"], colors)
    # About as long as the language model's embeddings are.
    loss = loss + 0.01 * (features.norm(dim=-1) - 4).square().mean()
    told = {"name": _right(said["name"], names, names > 0), "color": _right(said["color"], colors, colors >= 0)}
    if cells.shape[1] < (SIDE // CELL) ** 2:
        return loss, told
    numbers = torch.tensor([len(one.things) - 1 for one in scenes])[:, None].expand(names.shape)
    return loss + 0.3 * cross_entropy(said["number"], numbers), {**told, "number": _right(said["number"], numbers, names >= 0)}
