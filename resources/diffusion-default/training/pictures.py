"""Pictures of 64 pixels a side composed of emoji, and what is said of them: picture(sprites, seed, index) is the same on every machine
with the same Pillow and NumPy."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from sprites import COLOR_NAMES, COLORS, Sprite, color_of

SIDE = 64
UNCOUNTED = {"bread", "corn", "rice", "cooked rice", "fire", "cheese", "garlic", "butter", "honey", "ice", "salt", "money", "broccoli", "mate", "sake", "sushi", "fog", "bacon", "leafy green"}
# {n} a name, {an} a name with its article, {s} the style.
FORMS = ["{n}", "{n}", "{an}", "{an}", "a drawing of {an}", "a picture of {an}", "an icon of {an}", "{n} emoji"]
STYLED = ["{s} {n}", "a {s} {n}", "a {s} drawing of {an}", "{n}, {s}", "{an}, {s} style", "a {s} icon of {an}"]


@dataclass
class Picture:
    """pixels [64, 64, 3] as bytes; names: of each thing from left to right, those it can have; color: what must be said of a thing that was
    given another colour, hue: what may be said of one; style: "" where there are two; ground: its colour's name"""

    pixels: np.ndarray
    names: list[list[str]]
    color: str
    hue: str
    style: str
    ground: str


def with_article(name: str) -> str:
    last = name.split(" ")[-1]
    if name in UNCOUNTED or (last.endswith("s") and not last.endswith(("ss", "us", "is", "as"))):
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def caption(of: Picture, random: np.random.Generator) -> str:
    chosen = [names[0] if random.random() < 0.75 else names[random.integers(len(names))] for names in of.names]
    if len(chosen) == 2:
        joined = [" and ", " next to "][random.integers(2)]
        text = joined.join(with_article(name) for name in chosen)
        text = f"a drawing of {text}" if random.random() < 0.25 else text
    else:
        name = chosen[0]
        told = of.color or (of.hue if random.random() < 0.3 else "")
        if told and not any(color in name.split(" ") for color in COLOR_NAMES):
            name = f"{told} {name}"
        forms = STYLED if of.style and random.random() < 0.45 else FORMS
        article = with_article(name) if not told or with_article(chosen[0]) != chosen[0] else name
        text = forms[random.integers(len(forms))].format(n=name, an=article, s=of.style)
        text = text.replace("a an ", "an ").replace("a a ", "a ")
    if of.ground != "white" or random.random() < 0.1:
        text = f"{text} on {'an' if of.ground[0] in 'aeiou' else 'a'} {of.ground} background"
    return text


def _recolored(sprite: Sprite, random: np.random.Generator) -> tuple[Image.Image, str] | None:
    """Its hues turned; None where the result has no colour of its own."""
    hue, saturation, value = sprite.image.convert("RGB").convert("HSV").split()
    turn = int(random.integers(32, 224))
    image = Image.merge("HSV", (hue.point(lambda h: (h + turn) % 256), saturation, value)).convert("RGB").convert("RGBA")
    image.putalpha(sprite.image.getchannel("A"))
    color = color_of(image)
    return (image, color) if color and color != sprite.color else None


def _ground(random: np.random.Generator, avoided: str) -> tuple[str, tuple[int, ...]]:
    if random.random() < 0.65:
        return "white", (255, 255, 255)
    names = [name for name in COLOR_NAMES if name not in ("white", avoided)]
    name = names[random.integers(len(names))]
    return name, tuple(int(v) for v in np.clip(np.array(COLORS[name]) + random.integers(-12, 13, 3), 0, 255))


def _placed(picture: Image.Image, image: Image.Image, sprite: Sprite, box: tuple[int, int, int, int], scale: float, random: np.random.Generator) -> None:
    """Somewhere in the box (left, upper, right, lower)."""
    width, height = box[2] - box[0], box[3] - box[1]
    scale *= min(1, (width - 2) / image.width, (height - 2) / image.height)
    if scale < 1:
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.LANCZOS)
    if sprite.mirrored and random.random() < 0.5:
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    free = width - image.width, height - image.height
    wide = 0.25 if scale > 0.9 else 0.4
    x, y = (round(f / 2 + random.uniform(-wide, wide) * f) for f in free)
    picture.paste(image, (box[0] + x, box[1] + y), image)


class Draw:
    """Chooses among the sprites by their weights."""

    def __init__(self, sprites: list[Sprite]):
        self.sprites = sprites
        self.common = [sprite for sprite in sprites if sprite.common]
        weights = np.array([sprite.weight for sprite in sprites])
        self.upto = np.cumsum(weights / weights.sum())

    def one(self, random: np.random.Generator) -> Sprite:
        return self.sprites[min(int(np.searchsorted(self.upto, random.random())), len(self.sprites) - 1)]

    def picture(self, seed: int, index: int) -> Picture:
        random = np.random.default_rng([seed, index])
        if random.random() < 0.1:
            return self._pair(random)
        sprite = self.one(random)
        image, color = sprite.image, ""
        if sprite.common and random.random() < 0.12:
            image, color = _recolored(sprite, random) or (image, "")
        hue = color or sprite.color
        ground, rgb = _ground(random, hue)
        picture = Image.new("RGB", (SIDE, SIDE), rgb)
        scale = 1.0 if random.random() < 0.6 else random.uniform(0.7, 1.0)
        _placed(picture, image, sprite, (0, 0, SIDE, SIDE), scale, random)
        return Picture(np.asarray(picture), [sprite.names], color, hue, sprite.style, ground)

    def _pair(self, random: np.random.Generator) -> Picture:
        """Two common things of one style side by side."""
        first = self.common[random.integers(len(self.common))]
        others = [sprite for sprite in self.common if sprite.style == first.style and sprite.names[0] != first.names[0]]
        pair = [first, others[random.integers(len(others))]]
        ground, rgb = _ground(random, "")
        picture = Image.new("RGB", (SIDE, SIDE), rgb)
        for sprite, left in zip(pair, (0, SIDE // 2)):
            _placed(picture, sprite.image, sprite, (left, 8, left + SIDE // 2, SIDE - 8), 1.0, random)
        return Picture(np.asarray(picture), [sprite.names[:1] for sprite in pair], "", "", "", ground)

    def seen_by_the_vae(self, seed: int, index: int) -> np.ndarray:
        """As picture(), now and then as dark lines on white or with lines drawn over it: it has to keep styles that it wasn't made for."""
        random = np.random.default_rng([seed, index, 1])
        pixels = self.picture(seed, index).pixels
        kind = random.random()
        if kind > 0.25:
            return pixels
        image = Image.fromarray(pixels)
        if kind < 0.15:
            edges = image.filter(ImageFilter.GaussianBlur(0.6)).convert("L").filter(ImageFilter.FIND_EDGES)
            ImageDraw.Draw(edges).rectangle((0, 0, SIDE - 1, SIDE - 1), outline=0)  # the filter copies the border
            image = ImageChops.invert(edges).point(lambda v: int(np.clip((v - 120) * 255 / 110, 0, 255))).convert("RGB")
            if random.random() < 0.6:
                return np.asarray(image)
        draw = ImageDraw.Draw(image)
        for _ in range(int(random.integers(1, 5))):
            points = [tuple(int(v) for v in random.integers(0, SIDE, 2)) for _ in range(int(random.integers(2, 5)))]
            draw.line(points, tuple(int(v) for v in random.integers(0, 120, 3)), int(random.integers(1, 4)), "curve")
        return np.asarray(image)


def as_input(pictures: list[np.ndarray]):
    """[n, 3, 64, 64] of -1 to 1"""
    import torch

    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)
