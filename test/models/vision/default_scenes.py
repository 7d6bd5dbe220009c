"""What the training scenes of the default vision-language model say of themselves, against their pixels; and texts about a scene that is
made by hand. Prints JSON."""

import json
import sys

import numpy as np
from PIL import Image

sys.path.insert(0, sys.argv[1])
from scenes import COLORS, NAMES, THINGS, Scene, Thing, scene
from texts import KINDS, place_of, plural, questions

random = np.random.default_rng(5)
sprites = {name: [Image.new("RGBA", (64, 64), (*(int(v) for v in random.integers(0, 256, 3)), 255))] for name in NAMES}


def wrong(index: int) -> list[str]:
    """What a scene says and its pixels don't."""
    made = scene(sprites, 1, index)
    found = []
    far = lambda pixels, color: np.abs(np.median(pixels, 0) - COLORS[color]).max() > 32
    if far(made.pixels[made.owner == -1].astype(float), made.ground):
        found.append(f"{index}: its ground is not {made.ground}")
    for i, thing in enumerate(made.things):
        rows, columns = np.nonzero(made.owner == i)
        if len(rows) == 0:
            found.append(f"{index}: no {thing.name} is seen")
            continue
        if thing.color and far(made.pixels[rows, columns].astype(float), thing.color):
            found.append(f"{index}: its {thing.name} is not {thing.color}")
        if abs(columns.mean() - thing.x) > thing.size * 0.25 or abs(rows.mean() - thing.y) > thing.size * 0.25:
            found.append(f"{index}: its {thing.name} is elsewhere")
    return found


by_hand = Scene("orange", [Thing("star", "red", 100, 110, 30), Thing("dog", "", 20, 20, 50), Thing("star", "red", 64, 64, 30), Thing("arrow", "blue", 110, 20, 32)])
said = {}
for seed in range(60):
    for kind, question, answer in questions(by_hand, np.random.default_rng(seed), len(KINDS)):
        said[question] = answer
again = scene(sprites, 1, 3)
print(
    json.dumps(
        {
            "scenes": 60,
            "wrong": [problem for index in range(60) for problem in wrong(index)],
            "same": bool((scene(sprites, 1, 3).pixels == again.pixels).all()),
            "plurals": {name: plural(name) for name in ["mouse", "butterfly", "octopus", "potato", "wolf", "fox", "key", "cherry", "tomato", "volcano", "leaf"]},
            "unnamed": [name for name in THINGS if name != name.strip().lower()],
            "places": [place_of(thing) for thing in by_hand.things],
            "said": said,
        }
    )
)
