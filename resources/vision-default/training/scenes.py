"""Pictures composed of emoji and drawn shapes on coloured grounds, with what is where: scene(seed, index) is the same on every machine
with the same Pillow and NumPy. Emoji: Noto from emoji-datasource-google (Apache-2.0), Fluent from @lobehub/fluent-emoji-3d (MIT)."""

import json
import math
import pathlib
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

SIDE = 128
THINGS: dict[str, list[str]] = json.loads((pathlib.Path(__file__).parent / "things.json").read_text())
SHAPES = ["circle", "square", "rectangle", "triangle", "star", "diamond", "heart", "cross", "ring", "hexagon", "arrow"]
NAMES = [*SHAPES, *THINGS]
COLORS = {
    **{"red": (215, 40, 40), "orange": (245, 140, 30), "yellow": (248, 220, 60), "green": (50, 160, 70), "blue": (45, 90, 215)},
    **{"purple": (135, 65, 185), "pink": (245, 145, 195), "brown": (125, 80, 45), "black": (22, 22, 22), "white": (246, 246, 246), "gray": (140, 140, 140)},
}
COLOR_NAMES = list(COLORS)
# So alike that one on the other, or one for the other, would be a matter of taste.
ALIKE = [{"red", "orange"}, {"red", "brown"}, {"orange", "yellow"}, {"orange", "brown"}, {"purple", "pink"}, {"purple", "blue"}, {"black", "brown"}, {"white", "gray"}, {"red", "pink"}, {"white", "yellow"}, {"gray", "black"}, {"gray", "brown"}]
GROUND = -1


@dataclass
class Thing:
    """x, y: its middle in pixels; size: its longer side in pixels; color: of a shape, "" of an emoji"""

    name: str
    color: str
    x: float
    y: float
    size: float

    @property
    def full_name(self) -> str:
        return f"{self.color} {self.name}" if self.color else self.name


@dataclass
class Scene:
    """pixels [128, 128, 3] as bytes; owner [128, 128]: the index of the thing that is seen there, or GROUND"""

    ground: str
    things: list[Thing] = field(default_factory=list)
    pixels: np.ndarray = None
    owner: np.ndarray = None


def load_sprites(packages: pathlib.Path) -> dict[str, list[Image.Image]]:
    """Every thing's emoji, each in both designs, at most 96 pixels a side."""
    folders = [(packages / "emoji-datasource-google/img/google/64", "png"), (packages / "@lobehub/fluent-emoji-3d/assets", "webp")]
    opened = lambda code: [Image.open(folder / f"{code}.{kind}").convert("RGBA") for folder, kind in folders]
    fit = lambda image: image if image.width <= 96 else image.resize((96, 96), Image.LANCZOS)
    return {name: [fit(image) for code in codes for image in opened(code)] for name, codes in THINGS.items()}


def _star(points: int, inner: float):
    angles = [math.pi * i / points - math.pi / 2 for i in range(2 * points)]
    return [(math.cos(a) * (1 if i % 2 == 0 else inner), math.sin(a) * (1 if i % 2 == 0 else inner)) for i, a in enumerate(angles)]


def _heart():
    at = lambda t: (16 * math.sin(t) ** 3 / 17, -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 17)
    return [at(2 * math.pi * i / 40) for i in range(40)]


_THIRD = 0.34
POLYGONS = {
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "triangle": [(0, -0.9), (0.95, 0.8), (-0.95, 0.8)],
    "star": _star(5, 0.42),
    "diamond": [(0, -1), (0.68, 0), (0, 1), (-0.68, 0)],
    "heart": _heart(),
    "cross": [(-_THIRD, -1), (_THIRD, -1), (_THIRD, -_THIRD), (1, -_THIRD), (1, _THIRD), (_THIRD, _THIRD), (_THIRD, 1), (-_THIRD, 1), (-_THIRD, _THIRD), (-1, _THIRD), (-1, -_THIRD), (-_THIRD, -_THIRD)],
    "hexagon": [(math.cos(math.pi * i / 3), math.sin(math.pi * i / 3)) for i in range(6)],
    "arrow": [(-1, -0.3), (0.1, -0.3), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.3), (-1, 0.3)],
}
DETAIL = 3  # drawn so many times larger, then made smaller, for smooth edges


def shape_sprite(name: str, rgb: tuple[int, int, int], size: int, turn: float, flat: float, line: bool) -> Image.Image:
    """flat: how much shorter a rectangle is than it is wide; line: only an outline"""
    side = size * DETAIL
    mask = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(mask)
    middle = side / 2
    if name in ("circle", "ring"):
        draw.ellipse((1, 1, side - 2, side - 2), fill=255)
        inner = 0.55 if name == "ring" else 0.8 if line else 0
        if inner:
            draw.ellipse((middle - inner * middle, middle - inner * middle, middle + inner * middle, middle + inner * middle), fill=0)
    else:
        points = [(-1, -flat), (1, -flat), (1, flat), (-1, flat)] if name == "rectangle" else POLYGONS[name]
        cos, sin = math.cos(turn), math.sin(turn)
        reach = max(max(abs(x * cos - y * sin), abs(x * sin + y * cos)) for x, y in points)
        at = lambda scale: [(middle + (x * cos - y * sin) / reach * middle * scale, middle + (x * sin + y * cos) / reach * middle * scale) for x, y in points]
        draw.polygon(at(0.98), fill=255)
        if line:
            draw.polygon(at(0.72), fill=0)
    sprite = Image.new("RGBA", (size, size), (*rgb, 255))
    sprite.putalpha(mask.resize((size, size), Image.BOX))
    return sprite


def _tint(random: np.random.Generator, color: str) -> tuple[int, int, int]:
    return tuple(int(v) for v in np.clip(np.array(COLORS[color]) + random.integers(-16, 17, 3), 0, 255))


def _ground(random: np.random.Generator, color: str) -> Image.Image:
    """Plain, or with a slope of brightness, or grainy."""
    pixels = np.tile(np.array(_tint(random, color), np.float32), (SIDE, SIDE, 1))
    kind = random.integers(4)
    if kind == 1:
        slope = np.linspace(-14, 14, SIDE, dtype=np.float32)
        pixels += slope[:, None, None] if random.integers(2) else slope[None, :, None]
    if kind == 2:
        pixels += random.normal(0, 6, (SIDE, SIDE, 1)).astype(np.float32)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")


def _different(color: str, other: str) -> bool:
    return color != other and {color, other} not in ALIKE


def _place(random: np.random.Generator, placed: list[tuple[float, float, float]], size: int) -> tuple[int, int] | None:
    """The upper left corner of a free place; None where none is found."""
    for _ in range(30):
        x, y = (int(v) for v in random.integers(0, SIDE - size + 1, 2))
        if all(max(abs(x + size / 2 - px), abs(y + size / 2 - py)) > (size + ps) / 2 * 0.97 for px, py, ps in placed):
            return x, y
    return None


def _wanted(random: np.random.Generator, ground: str) -> list[tuple[str, str]]:
    """Names and colours: shapes, emoji, both, several of one, or one alone."""
    fitting = [color for color in COLOR_NAMES if _different(color, ground)]
    shape = lambda: (SHAPES[random.integers(len(SHAPES))], fitting[random.integers(len(fitting))])
    names = list(THINGS)
    emoji = lambda: (names[random.integers(len(names))], "")
    kind = random.integers(10)
    if kind < 3:
        return [emoji() for _ in range(random.integers(1, 5))]
    if kind < 5:
        return [shape() for _ in range(random.integers(1, 6))]
    if kind < 7:
        return [emoji() if random.integers(2) else shape() for _ in range(random.integers(2, 5))]
    if kind < 9:
        one = emoji() if random.integers(2) else shape()
        others = [emoji() if random.integers(2) else shape() for _ in range(random.integers(3))]
        return [one] * int(random.integers(2, 7)) + others
    return [emoji() if random.integers(3) else shape()]


def scene(sprites: dict[str, list[Image.Image]], seed: int, index: int) -> Scene:
    random = np.random.default_rng([seed, index])
    ground = COLOR_NAMES[random.integers(len(COLOR_NAMES))]
    picture = _ground(random, ground)
    made = Scene(ground)
    owner = np.full((SIDE, SIDE), GROUND, np.int16)
    wanted = _wanted(random, ground)
    largest = {1: 116, 2: 72, 3: 60, 4: 54, 5: 46, 6: 42}.get(len(wanted), 38)
    placed = []
    design = int(random.integers(1 << 16))
    for name, color in wanted:
        size = int(random.integers(28, largest + 1))
        corner = _place(random, placed, size)
        if corner is None:
            continue
        placed.append((corner[0] + size / 2, corner[1] + size / 2, size))
        turn = float(random.uniform(-0.35, 0.35)) if random.integers(2) else 0.0
        if name in THINGS:
            sprite = sprites[name][(design if wanted.count((name, color)) > 1 else int(random.integers(1 << 16))) % len(sprites[name])]
            if random.integers(2):
                sprite = sprite.transpose(Image.FLIP_LEFT_RIGHT)
            sprite = sprite.resize((size, size), Image.BICUBIC)
            if turn:
                sprite = sprite.rotate(math.degrees(turn) / 2, Image.BICUBIC)
        else:
            turn += math.pi / 2 * int(random.integers(4)) if name in ("rectangle", "arrow") else 0.0
            line = bool(random.integers(6) == 0) and name in ("circle", "square", "triangle", "star", "heart") and size > 36
            sprite = shape_sprite(name, _tint(random, color), size, turn, float(random.uniform(0.3, 0.6)), line and name != "circle")
        picture.paste(sprite, corner, sprite)
        seen = np.asarray(sprite.getchannel("A")) > 127
        owner[corner[1] : corner[1] + size, corner[0] : corner[0] + size][seen] = len(made.things)
        made.things.append(Thing(name, color, *placed[-1]))
    made.pixels = np.asarray(picture)
    made.owner = owner
    return made
