"""The emoji that pictures are composed of, with their names: Noto from emoji-datasource-google (Apache-2.0), called flat, and Fluent from
@lobehub/fluent-emoji-3d (MIT), called 3d; names from unicode-emoji-json (MIT). Flags, families, signs and letters are left out."""

import json
import pathlib
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

SPRITE = 60  # pixels a side at most
COMMON_WEIGHT = 4.0
# The names of what is common, each with the emoji that show it: those that the vision-language default knows.
THINGS = pathlib.Path(__file__).parents[2] / "vision-default/training/things.json"
# How often an emoji of a category, or of a part of one, is drawn; what isn't named isn't.
WEIGHTS = {
    **{"Animals & Nature": 1.0, "Food & Drink": 1.0, "Travel & Places": 1.0, "Activities": 1.0, "Objects": 1.0, "Smileys & Emotion": 0.6},
    **{"People & Body/person": 0.6, "People & Body/person-fantasy": 0.6, "People & Body/person-role": 0.3, "People & Body/body-parts": 0.6},
    **{"People & Body/hand-fingers-open": 0.5, "People & Body/hand-fingers-closed": 0.5, "People & Body/hand-single-finger": 0.3},
    **{"Symbols/geometric": 0.6, "Flags/flag": 0.5},
}
MIRRORED = {"Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Smileys & Emotion"}
# Letters, hands of clocks and sides are wrong in the mirror.
NOT_MIRRORED = re.compile(r"clock|left|right|abc|map|globe|dice|die|card|chart|first|1st|2nd|3rd|hundred|speech|zzz|atm|bus stop|hotel|bank|post office|store|8 ball|eight")
LEFT_OUT = re.compile(r"o.clock|thirty")
COLORS = {
    **{"red": (215, 40, 40), "orange": (245, 140, 30), "yellow": (248, 210, 60), "green": (70, 160, 60), "blue": (50, 110, 220)},
    **{"purple": (135, 65, 185), "pink": (245, 145, 195), "brown": (135, 85, 50), "black": (30, 30, 30), "white": (246, 246, 246), "gray": (140, 140, 140)},
}
COLOR_NAMES = list(COLORS)


@dataclass
class Sprite:
    """names: the usual one first; style: "flat" or "3d"; color: what most of it is, or ""; image: RGBA, at most 60 pixels a side"""

    names: list[str]
    style: str
    image: Image.Image
    color: str
    mirrored: bool
    common: bool
    weight: float


def nearest_colors(pixels: np.ndarray) -> np.ndarray:
    """Of each RGB pixel [n, 3], the place of the nearest colour in COLOR_NAMES."""
    distance = ((pixels[:, None].astype(np.float32) - np.array(list(COLORS.values()), np.float32)) ** 2).sum(2)
    return distance.argmin(1)


def color_of(image: Image.Image) -> str:
    """The colour of more than half of what is seen; "" where there is none, or a dull one."""
    rgba = np.asarray(image)
    seen = rgba[rgba[:, :, 3] > 127][:, :3]
    if len(seen) == 0:
        return ""
    counts = np.bincount(nearest_colors(seen), minlength=len(COLOR_NAMES))
    name = COLOR_NAMES[counts.argmax()]
    return name if counts.max() > 0.55 * len(seen) and name not in ("white", "gray") else ""


def _names(packages: pathlib.Path) -> dict[str, str]:
    """By code points without variation selectors."""
    table = json.loads((packages / "unicode-emoji-json/data-by-emoji.json").read_text())
    code = lambda emoji: "-".join(f"{ord(c):04x}" for c in emoji if c != "\ufe0f")
    return {code(emoji): one["name"].lower().replace("\u2019", "'") for emoji, one in table.items()}


def _fitted(image: Image.Image) -> Image.Image:
    """What is seen of it, at most 60 pixels a side."""
    image = image.convert("RGBA")
    image = image.crop(image.getchannel("A").point(lambda a: 255 if a > 8 else 0).getbbox())
    scale = SPRITE / max(image.size)
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.LANCZOS)


def load_sprites(packages: pathlib.Path) -> list[Sprite]:
    names = _names(packages)
    common = {code: name for name, codes in json.loads(THINGS.read_text()).items() for code in codes}
    folders = {"flat": (packages / "emoji-datasource-google/img/google/64", "png"), "3d": (packages / "@lobehub/fluent-emoji-3d/assets", "webp")}
    sprites = []
    for one in sorted(json.loads((packages / "emoji-datasource-google/emoji.json").read_text()), key=lambda one: one["unified"]):
        file = one["image"].removesuffix(".png")
        code = file.replace("-fe0f", "")
        category = one["category"]
        weight = WEIGHTS.get(category) or WEIGHTS.get(f"{category}/{one['subcategory']}")
        name = names.get(code)
        if weight is None or name is None or LEFT_OUT.search(name):
            continue
        usual = common.get(code) or common.get(file)
        called = [name] if usual is None or usual == name else [usual, name]
        for style, (folder, kind) in folders.items():
            path = next((p for p in (folder / f"{file}.{kind}", folder / f"{code}.{kind}") if p.exists()), None)
            if path is None:
                continue
            image = _fitted(Image.open(path))
            mirrored = category in MIRRORED and not NOT_MIRRORED.search(name)
            sprites.append(Sprite(called, style, image, color_of(image), mirrored, usual is not None, weight * (COMMON_WEIGHT if usual else 1)))
    return sprites
