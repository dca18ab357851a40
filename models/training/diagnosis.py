"""Training of networks that say "nothing found" (their first label) or "something found" (their second)."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .command import fitted
from .data import Model, load
from .fit import Augment, Schedule, export, scores
from .report import write_expected


class Ensemble(nn.Module):
    """Networks side by side, each ending in a linear layer; their logits are averaged."""

    def __init__(self, members: list[nn.Sequential]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        with torch.no_grad():
            for member in members:
                member[-1].weight /= len(members)
                member[-1].bias /= len(members)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = (member(x) for member in self.members)
        return sum(others, first)


def interval(right: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927)."""
    z = 1.96
    share, spread = right / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = (share * (1 - share) * spread + spread * spread / 4) ** 0.5 / (1 + spread)
    return middle - half, middle + half


def share(right: Tensor) -> dict[str, float | list[float]]:
    """The share of what is right, with its interval, rounded."""
    ends = interval(int(right.sum()), len(right))
    return {"share": round(right.double().mean().item(), 4), "of": len(right), "95 %": [round(end, 4) for end in ends]}


def area(logits: Tensor, label: Tensor) -> float:
    """How often a picture of the second label has a higher score than one of the first."""
    score = logits[:, 1] - logits[:, 0]
    ahead = score[label == 1].unsqueeze(1) - score[label == 0]
    return ((ahead > 0).double() + 0.5 * (ahead == 0).double()).mean().item()


def diagnosis(logits: Tensor, label: Tensor) -> dict[str, dict | float]:
    """Accuracy, sensitivity (share of the second label that is found), specificity (of the first, left alone)."""
    right = logits.argmax(1) == label
    return {
        "accuracy": share(right),
        "sensitivity": share(right[label == 1]),
        "specificity": share(right[label == 0]),
        "area under the curve": round(area(logits, label), 4),
    }


def run(
    options: argparse.Namespace,
    build: Callable[[Model], nn.Sequential],
    augment: Callable[[Model], Augment],
    schedule: Schedule,
    members: int,
) -> None:
    """Trains on `train` and judges on `val`, then trains on both, judges once on `test` and writes the model's files."""
    model = Model.read(options.model)
    data = load(options.client, model, options.data)
    figures = {}

    def ensemble(*splits: str) -> Ensemble:
        parts = range(members)
        return Ensemble([fitted(build, augment, schedule, model, data, splits, options, i) for i in parts])

    def judge(network: nn.Module, split: str) -> None:
        samples = data.where(split)
        figures[split] = diagnosis(scores(network, data, samples), data.label[samples])
        print(figures, flush=True)

    judge(ensemble("train"), "val")
    network = ensemble("train", "val")
    export(network, data.windows[:1], model.folder / "model.onnx")
    judge(network, "test")
    write_expected(options.client, model, figures)
