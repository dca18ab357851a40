"""Training, evaluation and export of small networks on a CPU, deterministic for a given seed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import Dataset

Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how hard to train."""

    epochs: int
    batch: int = 32
    rate: float = 3e-3
    decay: float = 1e-2
    mixup: float = 0.0
    smoothing: float = 0.05
    balanced: bool = False  # whether an epoch draws every label as often, or every sample once
    margin: float = 0.0  # what the right label's logit must be ahead by (CosFace, Wang et al., CVPR 2018)


def deterministic(seed: int, threads: int) -> None:
    """Makes the runs that follow repeatable."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)


def train(network: nn.Module, data: Dataset, samples: Tensor, augment: Augment, schedule: Schedule, seed: int) -> None:
    """Trains on one random window of each sample per epoch; every window has its sample's label."""
    random = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=schedule.decay)
    batches = len(samples) // schedule.batch
    steps = schedule.epochs * batches
    warmup = torch.optim.lr_scheduler.OneCycleLR(optimizer, schedule.rate, total_steps=steps, pct_start=0.15)
    network.train()
    for _ in range(schedule.epochs):
        order = drawn(data.label[samples], random) if schedule.balanced else torch.randperm(len(samples), generator=random)
        for batch in samples[order[: batches * schedule.batch]].split(schedule.batch):
            window = (torch.rand(len(batch), generator=random) * data.count[batch]).long()
            x = augment(data.windows[data.first[batch] + window], random)
            loss = mixed_loss(network, x, data.label[batch], schedule, random)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            warmup.step()
    network.eval()


def drawn(label: Tensor, random: torch.Generator) -> Tensor:
    """As many draws as there are labels, with replacement, every label as often."""
    return torch.multinomial(1 / label.bincount().float()[label], len(label), replacement=True, generator=random)


def mixed_loss(network: nn.Module, x: Tensor, label: Tensor, schedule: Schedule, random: torch.Generator) -> Tensor:
    """Cross entropy; with mixup, of convex combinations of pairs (Zhang et al., ICLR 2018)."""

    def loss(logits: Tensor, label: Tensor, reduction: str = "none") -> Tensor:
        ahead = logits - schedule.margin * F.one_hot(label, logits.shape[1])
        return F.cross_entropy(ahead, label, reduction=reduction, label_smoothing=schedule.smoothing)

    if schedule.mixup == 0:
        return loss(network(x), label, "mean")
    share = schedule.mixup * torch.rand(len(x), generator=random)
    other = torch.randperm(len(x), generator=random)
    shape = (-1,) + (1,) * (x.dim() - 1)
    logits = network(torch.lerp(x, x[other], share.view(shape)))
    return torch.lerp(loss(logits, label), loss(logits, label[other]), share).mean()


@torch.no_grad()
def scores(network: nn.Module, data: Dataset, samples: Tensor) -> Tensor:
    """One row of logits per sample: the sum over its windows."""
    network.eval()
    sums = [network(data.windows[data.first[i] : data.first[i] + data.count[i]]).sum(0) for i in samples]
    return torch.stack(sums)


def accuracy(logits: Tensor, label: Tensor) -> float:
    """Share of right answers."""
    return (logits.argmax(1) == label).double().mean().item()


def balanced_accuracy(logits: Tensor, label: Tensor) -> float:
    """Mean over the classes of the share of right answers."""
    right = (logits.argmax(1) == label).double()
    return torch.stack([right[label == c].mean() for c in label.unique()]).mean().item()


def export(network: nn.Module, example: Tensor, path: Path, output: str = "logits") -> None:
    """Writes ONNX (opset 17) with batch normalisation folded and a free batch dimension."""
    names = {"input_names": ["input"], "output_names": [output]}
    free = {"input": {0: "batch"}, output: {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(network.eval(), (example,), path, opset_version=17, dynamo=False, dynamic_axes=free, **names)
