"""Muon for the tower's matrices, AdamW for everything else."""

import torch
from torch import nn


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """The nearest orthogonal matrices, roughly, by five Newton-Schulz steps, [matrices, rows, columns], in f32."""
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        product = x @ x.mT
        x = 3.4445 * x + (-4.775 * product + 2.0315 * product @ product) @ x
    return x if wide else x.mT


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal, as long as AdamW's updates are (Liu et al. 2025); matrices of one shape are taken together."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.05):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for shape in sorted({tuple(p.shape) for p in group["params"]}):
                self._together([p for p in group["params"] if tuple(p.shape) == shape], group)

    def _together(self, parameters: list[nn.Parameter], group: dict) -> None:
        looked_ahead = []
        for p in parameters:
            momentum = self.state[p].setdefault("momentum", torch.zeros_like(p)).lerp_(p.grad, 1 - group["momentum"])
            looked_ahead.append(p.grad.lerp(momentum, group["momentum"]))
        updates = orthogonal(torch.stack(looked_ahead)) * (0.2 * max(parameters[0].shape) ** 0.5)
        for p, update in zip(parameters, updates):
            p.mul_(1 - group["lr"] * group["decay"]).sub_(update, alpha=group["lr"])


def optimizers(eyes: nn.Module) -> list[torch.optim.Optimizer]:
    """Each parameter group names its part ("tower", "connector"), by which a stage sets its pace."""
    named = list(eyes.named_parameters())
    matrices = [p for name, p in named if ".encoder." in name and p.ndim == 2]
    connector = [p for name, p in named if name.startswith("connector.")]
    others = [p for _, p in named if not any(p is q for q in matrices + connector)]
    groups = [{"params": others, "part": "tower"}, {"params": connector, "part": "connector"}]
    return [Muon([{"params": matrices, "part": "tower"}], lr=0), torch.optim.AdamW(groups, lr=0, betas=(0.9, 0.98), weight_decay=0.01)]
