"""Puts down what transformers' image processors (their Pillow form) and processors make of the pictures here:
python make_preparations.py (transformers 5.24, pillow 13.0), after make_pictures.py"""

import hashlib
import itertools
import json
import pathlib
from types import SimpleNamespace

import numpy as np
import transformers.image_processing_backends as backends
from PIL import Image, ImageOps
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.gemma3.processing_gemma3 import Gemma3Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor
from transformers.models.llava.processing_llava import LlavaProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor

here = pathlib.Path(__file__).parent
folder = here / "pictures"

CONFIGS = {
    "idefics3-small": dict(image_processor_type="Idefics3ImageProcessor", size={"longest_edge": 72}, max_image_size={"longest_edge": 24}),
    "idefics3-whole": dict(image_processor_type="Idefics3ImageProcessor", size={"longest_edge": 72}, max_image_size={"longest_edge": 24}, do_image_splitting=False),
    "smolvlm": dict(image_processor_type="SmolVLMImageProcessor", size={"longest_edge": 2048}, max_image_size={"longest_edge": 512}),
    "llava-small": dict(image_processor_type="CLIPImageProcessor", size={"shortest_edge": 30}, crop_size={"height": 29, "width": 30}),
    "llava": dict(image_processor_type="CLIPImageProcessor", size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}),
    "gemma3-small": dict(image_processor_type="Gemma3ImageProcessor", size={"height": 28, "width": 28}),
    "gemma3": dict(image_processor_type="Gemma3ImageProcessor", size={"height": 896, "width": 896}),
    "qwen-small": dict(image_processor_type="Qwen2VLImageProcessor", size={"shortest_edge": 400, "longest_edge": 2000}, patch_size=4),
    "qwen": dict(image_processor_type="Qwen2VLImageProcessor", size={"shortest_edge": 3136, "longest_edge": 28 * 28 * 1280}),
}
CLASSES = {
    "Idefics3ImageProcessor": Idefics3ImageProcessorPil,
    "SmolVLMImageProcessor": Idefics3ImageProcessorPil,
    "CLIPImageProcessor": CLIPImageProcessorPil,
    "Gemma3ImageProcessor": Gemma3ImageProcessorPil,
    "Qwen2VLImageProcessor": Qwen2VLImageProcessorPil,
}
SMALL = ["plain.png", "one-wide.png", "gray.png", "palette.png", "alpha.png", "turned-6.jpg", "long.png", "scene.jpg"]
LARGE = {"smolvlm": ["scene.jpg"], "llava": ["scene.jpg", "long.png"], "gemma3": ["scene.jpg"], "qwen": ["scene.jpg", "long.png"]}


def opened(name: str) -> Image.Image:
    """Turned upright as load_image does it; transparency is left to the processor."""
    image = Image.open(folder / name)
    return ImageOps.exif_transpose(image)


def made(name: str, config: str) -> dict:
    options = {key: value for key, value in CONFIGS[config].items() if key != "image_processor_type"}
    processor = CLASSES[CONFIGS[config]["image_processor_type"]](**options)
    extra = {"return_row_col_info": True} if "idefics3" in config or config == "smolvlm" else {}
    return processor, processor(opened(name), return_tensors="np", **extra)


def described(values: np.ndarray, seed: int) -> dict:
    """A digest for equality to the bit, and values at random places for how far off."""
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    places = np.random.default_rng(seed).integers(0, flat.size, 40)
    return {
        "shape": list(values.shape),
        "sha256": hashlib.sha256(flat.tobytes()).hexdigest(),
        "places": places.tolist(),
        "values": [float(v) for v in flat[places]],
    }


def text_of(config: str, processor, result) -> str:
    """The text that one picture becomes: the processors' own method, on the tokens of the released models."""
    kind = config.split("-")[0]
    if kind in ("idefics3", "smolvlm"):
        own = SimpleNamespace(fake_image_token="<fake_token_around_image>", global_image_tag="<global-img>", image_token="<image>", image_seq_len=3)
        return Idefics3Processor.replace_image_token(own, result, 0)
    if kind == "llava":
        own = SimpleNamespace(image_token="<image>", patch_size=7, num_additional_image_tokens=1, vision_feature_select_strategy="default")
        return LlavaProcessor.replace_image_token(own, result, 0)
    if kind == "gemma3":
        own = SimpleNamespace(full_image_sequence="\n\n<start_of_image>" + "<image_soft_token>" * 5 + "<end_of_image>\n\n")
        return Gemma3Processor.replace_image_token(own, result, 0)
    own = SimpleNamespace(image_token="<|image_pad|>", image_processor=processor)
    return Qwen2VLProcessor.replace_image_token(own, result, 0)


cases = []
for config in CONFIGS:
    for name in LARGE.get(config, SMALL):
        processor, result = made(name, config)
        values = result["pixel_values"]
        values = values[0] if values.ndim == 5 else values
        text = text_of(config, processor, result)
        case = {"config": config, "picture": name, "pixels": described(values, len(cases))}
        case["text"] = text if len(text) < 300 else hashlib.sha256(text.encode()).hexdigest()
        cases.append(case)

# Sizes alone, for many shapes: resizing is replaced by an empty picture of the size asked for.
backends.np_resize = lambda image, size, **_: np.broadcast_to(np.uint8(0), (3, *size))
sizes = {}
edges = [1, 2, 5, 27, 28, 29, 42, 70, 100, 333, 511, 512, 513, 1023, 2047, 3001]
for config in ("smolvlm", "qwen"):
    options = {key: value for key, value in CONFIGS[config].items() if key != "image_processor_type"}
    processor = CLASSES[CONFIGS[config]["image_processor_type"]](**options)
    rows = []
    for width, height in itertools.product(edges, edges):
        image = np.broadcast_to(np.uint8(0), (3, height, width))
        if config == "smolvlm":
            first = processor.resize(image, SimpleNamespace(longest_edge=2048))
            large = processor.resize_for_vision_encoder(first, 512)
            rows.append([width, height, first.shape[2], first.shape[1], large.shape[2], large.shape[1]])
        else:
            try:
                size = processor.size
                result = processor.resize(image, SimpleNamespace(**dict(size)), 3, factor=28)
                rows.append([width, height, result.shape[2], result.shape[1]])
            except ValueError:
                rows.append([width, height])
    sizes[config] = rows

(here / "preparations.json").write_text(json.dumps({"configs": CONFIGS, "cases": cases, "sizes": sizes}) + "\n")
