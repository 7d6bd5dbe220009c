"""How near pictures come to the example's style, and whether they still show what was asked for:

    python measure.py --pictures FOLDER [--lite0]                    of pictures FOLDER/*.png named as those of line-drawings/held-out
    python measure.py --pipeline .. [--lora FOLDER] --grid GRID.png  of what the pipeline draws for the held-out captions

Prints JSON. `kid`: the kernel inception distance to the held-out pictures (polynomial of degree 3, unbiased) on the judge's features;
`conceptAccuracy`: of how many the judge says the thing of the caption; `kidLite0` with --lite0: on EfficientNet-Lite0's features."""

import argparse
import json
import pathlib

import torch

from judge import judged, load_judge, opened
from pictures import as_input
from samples import as_image

EXAMPLE = pathlib.Path(__file__).parents[2] / "line-drawings"


def kid(features: torch.Tensor, others: torch.Tensor) -> float:
    """Squared maximum mean discrepancy by the kernel (x y / d + 1)^3, without the diagonals; can be a little below 0."""
    kernel = lambda a, b: (a.double() @ b.double().T / a.shape[1] + 1) ** 3
    within = lambda a: ((k := kernel(a, a)).sum() - k.diagonal().sum()) / (len(a) * (len(a) - 1))
    return (within(features) + within(others) - 2 * kernel(features, others).mean()).item()


def held_out() -> list[dict]:
    return [json.loads(line) for line in (EXAMPLE / "held-out/metadata.jsonl").read_text().splitlines()]


def measure(pictures: torch.Tensor, rows: list[dict], lite0: bool) -> dict:
    weights, names = load_judge(EXAMPLE / "judge.safetensors")
    real = as_input([opened(EXAMPLE / "held-out" / row["file_name"]) for row in rows])
    with torch.no_grad():
        (features, said), (others, _) = judged(weights, pictures), judged(weights, real)
    right = [names[i] == row["concept"] for i, row in zip(said.argmax(1).tolist(), rows)]
    result = {"pictures": len(rows), "kid": round(kid(features, others), 4), "conceptAccuracy": round(sum(right) / len(right), 3)}
    if lite0:
        from perceptual import load_lite0, pooled

        network = load_lite0()
        result["kidLite0"] = round(kid(pooled(network, pictures), pooled(network, real)), 4)
    return result


def drawn(pipeline: pathlib.Path, lora: pathlib.Path | None, rows: list[dict], guidance: float, seed: int) -> torch.Tensor:
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(pipeline, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    if lora:
        pipe.load_lora_weights(lora)
    made = []
    for first in range(0, len(rows), 16):
        prompts = [row["text"] for row in rows[first : first + 16]]
        random = torch.Generator().manual_seed(seed + first)
        made.append(pipe(prompts, num_inference_steps=20, guidance_scale=guidance, generator=random, output_type="pt").images * 2 - 1)
    return torch.cat(made)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("pictures", "pipeline", "lora", "grid"):
        parser.add_argument(f"--{name}", type=pathlib.Path)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lite0", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = held_out()
    if given.pictures:
        made = as_input([opened(given.pictures / row["file_name"]) for row in rows])
    else:
        made = drawn(given.pipeline, given.lora, rows, given.guidance, given.seed)
    if given.grid:
        as_image(made[:: max(1, len(made) // 48)][:48], 12).save(given.grid)
    print(json.dumps(measure(made, rows, given.lite0)))
