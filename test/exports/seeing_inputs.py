"""What the tiny models that take pictures are given (models/data/vision/make_models.py)."""

import torch


def given(family: str, expected: dict) -> dict:
    """As make_models.py gives them."""
    ids, mask, pixels = expected["ids"].long(), expected["mask"].long(), expected["pixels"]
    common = dict(input_ids=ids, attention_mask=mask)
    if family == "idefics3":
        return dict(common, pixel_values=torch.stack([pixels[:2], torch.cat([pixels[2:], torch.zeros(1, 3, 16, 16)])]))
    seen = (ids == 39).long()
    if family == "gemma3":
        return dict(common, pixel_values=pixels, token_type_ids=seen)
    if family == "qwen2.5-vl":
        return dict(common, pixel_values=pixels, image_grid_thw=torch.tensor([[1, 4, 4], [1, 2, 6], [1, 6, 4]]), mm_token_type_ids=seen)
    return dict(common, pixel_values=pixels)
