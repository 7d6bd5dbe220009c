"""Muon for matrices and convolutions, AdamW for everything else."""

import pathlib
import sys

import torch
from torch import nn

sys.path.append(str(pathlib.Path(__file__).parents[2] / "vision-default/training"))
from optimizer import orthogonal


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal, as long as AdamW's updates are (Liu et al. 2025). A convolution is a matrix of one row an output channel;
    those of one shape are taken together."""

    def __init__(self, groups: list[dict], momentum: float = 0.95):
        super().__init__(groups, {"lr": 0.0, "momentum": momentum, "weight_decay": 0.02})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            shape = lambda p: (p.shape[0], p.numel() // p.shape[0])
            for one in sorted({shape(p) for p in group["params"]}):
                self._together([p for p in group["params"] if shape(p) == one], group)

    def _together(self, parameters: list[nn.Parameter], group: dict) -> None:
        looked_ahead = []
        for p in parameters:
            momentum = self.state[p].setdefault("momentum", torch.zeros_like(p)).lerp_(p.grad, 1 - group["momentum"])
            looked_ahead.append(p.grad.lerp(momentum, group["momentum"]).flatten(1))
        together = torch.stack(looked_ahead)
        updates = orthogonal(together) * (0.2 * max(together.shape[1:]) ** 0.5)
        for p, update in zip(parameters, updates):
            p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update.view(p.shape), alpha=group["lr"])


def _is_inner_matrix(name: str, p: nn.Parameter) -> bool:
    return p.ndim > 1 and "embedding" not in name and not name.endswith(("conv_in.weight", "conv_out.weight"))


def optimizers(parts: dict[str, nn.Module]) -> list[torch.optim.Optimizer]:
    """Each group names its part, by which its rate is set."""
    inner, others = [], []
    for part, model in parts.items():
        named = list(model.named_parameters())
        inner.append({"part": part, "params": [p for name, p in named if _is_inner_matrix(name, p)]})
        others.append({"part": part, "params": [p for name, p in named if not _is_inner_matrix(name, p)]})
    return [Muon(inner), torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.99), weight_decay=0.0)]
