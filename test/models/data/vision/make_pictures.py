"""Draws the small pictures of these tests and puts down what Pillow and transformers' convert_to_rgb read in them:
python make_pictures.py (pillow 13.0, transformers 5.24)"""

import hashlib
import json
import pathlib

import numpy as np
from PIL import Image, ImageCms, ImageOps
from transformers.image_transforms import convert_to_rgb

here = pathlib.Path(__file__).parent
folder = here / "pictures"
folder.mkdir(exist_ok=True)


def drawn(width: int, height: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """Soft waves with hard-edged squares on them: what every filter and every codec treats in its own way."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        127.5 + 127.5 * np.sin(x * (0.31 + 0.17 * c) + seed) * np.cos(y * (0.23 + 0.11 * c) - c) for c in range(channels)
    ]
    image = np.stack(waves, -1)
    squares = ((x // 5 + y // 4 + seed) % 3 == 0)[..., None]
    return np.where(squares, 255 - image[..., ::-1], image).round().astype(np.uint8)


def save(name: str, image: Image.Image, **options) -> None:
    image.save(folder / name, **options)


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    return made


rgb = Image.fromarray(drawn(37, 23))
save("plain.png", rgb)
save("plain.jpg", rgb, quality=90)
save("half-colours.jpg", rgb, quality=75, subsampling=2, progressive=True)
save("plain.webp", rgb, quality=80)
save("lossless.webp", rgb, lossless=True)
save("gray.png", rgb.convert("L"))
save("gray.jpg", rgb.convert("L"))
save("black-and-white.png", rgb.convert("1"))
save("palette.png", rgb.quantize(11))
alpha = Image.fromarray(drawn(19, 31, 3, 4))
save("alpha.png", alpha)
save("alpha.webp", alpha, lossless=True, exact=True)
save("gray-alpha.png", Image.fromarray(drawn(13, 9, 4, 2)))
save("palette-alpha.png", rgb.quantize(7), transparency=3)
save("one-colour-clear.png", rgb.convert("RGB"), transparency=rgb.getpixel((4, 5)))
for orientation in range(2, 9):
    save(f"turned-{orientation}.jpg", Image.fromarray(drawn(24, 17, orientation)), quality=92, exif=exif(orientation))
save("turned-6.png", rgb, exif=exif(6))
save("turned-8.webp", rgb, lossless=True, exif=exif(8))
save("one-wide.png", Image.fromarray(drawn(1, 61)))
save("long.png", Image.fromarray(np.repeat(np.repeat(drawn(60, 4, 5), 50, 1), 5, 0)).quantize(8))
save("scene.jpg", Image.fromarray(drawn(321, 217, 6)).resize((161, 109)), quality=60)
# sRGB's profile with red and green exchanged: whoever applies it sees other colours.
profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
profile = profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
save("profile.png", rgb, icc_profile=profile)
readable = sorted(path.name for path in folder.iterdir())

expected = {}
for name in readable:
    image = convert_to_rgb(ImageOps.exif_transpose(Image.open(folder / name)), return_numpy=True)
    height, width, _ = image.shape
    expected[name] = {
        "width": width,
        "height": height,
        "sha256": hashlib.sha256(image.tobytes()).hexdigest(),
        "first": image.reshape(-1).tolist()[:24],
        "sums": image.astype(int).sum((0, 1)).tolist(),
    }
(here / "pictures.json").write_text(json.dumps(expected, indent=1) + "\n")

refused = here / "refused"
refused.mkdir(exist_ok=True)
rgb.convert("CMYK").save(refused / "cmyk.jpg")
Image.fromarray((drawn(5, 4, 1, 1)[..., 0].astype(np.uint16) * 257)).save(refused / "16-bit.png")
frames = [Image.fromarray(drawn(9, 7, seed)) for seed in range(3)]
frames[0].save(refused / "animated.webp", save_all=True, append_images=frames[1:], lossless=True)
frames[0].save(refused / "animated.png", save_all=True, append_images=frames[1:])
frames[0].save(refused / "other.gif")
frames[0].save(refused / "other.bmp")
frames[0].save(refused / "other.tiff")
