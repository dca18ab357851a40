"""Trains the emotion model on a folder of recordings in the manifest format and writes model.onnx and expected.json.

    python -m models.emotion.train $MPC_DATA/emotion_ravdess --outside $MPC_DATA/emotion_emodb

The network is first trained on `train` and judged on `val`, then trained on both in the same way and judged once on
`test`. For other labels or features, copy the folder, edit its manifest and pass it as --model.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..training import command
from ..training.data import Dataset, Model, load, shuffled
from ..training.fit import Schedule, balanced_accuracy, export, scores
from ..training.report import write_expected

SCHEDULE = Schedule(epochs=120, mixup=0.3)
CHANNELS = (16, 32, 64, 96)


def build(model: Model) -> nn.Sequential:
    """Four convolutions over [1, bands, frames]; the last one's maps are averaged over time, not over frequency."""
    _, bands, frames = model.manifest["input"]["shape"]
    a, b, c, d = CHANNELS
    return nn.Sequential(
        *command.block(1, a, size=5, stride=2),
        nn.MaxPool2d(2),
        *command.block(a, b),
        nn.MaxPool2d(2),
        nn.Dropout(0.12),
        *command.block(b, c),
        nn.MaxPool2d(2),
        nn.Dropout(0.12),
        *command.block(c, d),
        nn.AvgPool2d((1, frames // 16)),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(d * (bands // 16), len(model.labels)),
    )


class Augment:
    """Random changes of log-mel windows [batch, 1, bands, frames] that leave the emotion alone."""

    def __init__(self, model: Model) -> None:
        audio = model.manifest["preprocess"]
        self.std, self.mean = audio["std"][0], audio["mean"][0]
        self.floor = self.level(audio["floor_db"])
        self.limit = model.limit

    def level(self, decibels: float) -> float:
        """A level as a feature value."""
        return (decibels - self.mean) / self.std

    def __call__(self, x: Tensor, random: torch.Generator) -> Tensor:
        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(len(x), 1, 1, 1, generator=random)

        x = self.warp(x, uniform)
        gain = uniform(-3, 3) / self.std
        x = torch.where(x > self.floor + 0.01, x + gain, x)
        x = self.add_noise(x, self.level(-75) + uniform(0, 10) / self.std, random)
        level = x.mean((2, 3), keepdim=True)
        for axis, longest in ((2, 8), (3, 12)):
            length = uniform(0, longest)
            start = uniform(0, 1) * (x.shape[axis] - length)
            at = torch.arange(x.shape[axis]).view([-1 if i == axis else 1 for i in range(4)])
            x = torch.where((at >= start) & (at < start + length), level, x)
        return x.clamp(-self.limit, self.limit)

    def warp(self, x: Tensor, uniform) -> Tensor:
        """Changes tempo, pitch and the start of the window; what comes from outside is silence."""
        bands, frames = x.shape[2:]
        time = torch.arange(frames).view(1, 1, 1, -1) * uniform(0.9, 1.1) + uniform(-12, 12)
        band = torch.arange(bands).view(1, 1, -1, 1) * uniform(0.97, 1.03) + uniform(-1.5, 1.5)
        time, band = torch.broadcast_tensors(2 * time / (frames - 1) - 1, 2 * band / (bands - 1) - 1)
        grid = torch.stack([time, band], -1)[:, 0]
        return F.grid_sample(x - self.floor, grid, align_corners=True) + self.floor

    def add_noise(self, x: Tensor, level: Tensor, random: torch.Generator) -> Tensor:
        """Adds the power of noise; features are decibels divided by `std`."""
        noise = level + 0.25 * torch.randn(x.shape, generator=random)
        unit = 10 / math.log(10) / self.std
        return unit * torch.logaddexp(x / unit, noise / unit)


def judged(network: nn.Module, data: Dataset, samples: Tensor) -> float:
    """Balanced accuracy, rounded."""
    return round(balanced_accuracy(scores(network, data, samples), data.label[samples]), 4)


def main() -> None:
    options = command.arguments(__doc__, Path(__file__).parent)
    model = Model.read(options.model)
    data = load(options.client, model, options.data)
    figures = {}
    network = command.fitted(build, Augment, SCHEDULE, model, data, ("train",), options)
    figures["val"] = judged(network, data, data.where("val"))
    print(figures, flush=True)
    network = command.fitted(build, Augment, SCHEDULE, model, data, ("train", "val"), options)
    figures["test, speakers never heard"] = judged(network, data, data.where("test"))
    print(figures, flush=True)
    export(network, data.windows[:1], model.folder / "model.onnx")
    if options.outside:
        outside = load(options.client, model, options.outside)
        everything = outside.where("train", "val", "test")
        figures[f"{options.outside.name}, all speakers"] = judged(network, outside, everything)
    mixed = shuffled(data, options.seed)
    network = command.fitted(build, Augment, SCHEDULE, model, mixed, ("train", "val"), options)
    figures["test of a random split, speakers heard in training"] = judged(network, mixed, mixed.where("test"))
    print(figures, flush=True)
    write_expected(options.client, model, {"balanced accuracy": figures})


if __name__ == "__main__":
    main()
