"""Trains the face model on a folder of pictures in the manifest format and writes model.onnx and expected.json.

    python -m models.face.train $MPC_DATA/faces_orl40 --outside $MPC_DATA/faces_yaleb38

The same persons are in train, val and test, on different pictures (column `split_id`). The network is first trained on
`train` and judged on `val`, then trained on both in the same way and judged once on `test`. For other persons, copy the
folder, edit the manifest's labels and pass it as --model.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..training import command
from ..training.data import Dataset, Model, load
from ..training.fit import Schedule, accuracy, export, scores
from ..training.pictures import moved, uniform
from ..training.report import write_expected

SCHEDULE = Schedule(epochs=200)
CHANNELS = (16, 32, 48)


def build(model: Model) -> nn.Sequential:
    """Three convolutions over [1, height, width]; the positions of the last maps matter, so they are not averaged."""
    _, height, width = model.manifest["input"]["shape"]
    a, b, c = CHANNELS
    return nn.Sequential(
        *command.block(1, a, size=5, stride=2),
        nn.MaxPool2d(2),
        *command.block(a, b),
        nn.MaxPool2d(2),
        *command.block(b, c),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(c * (height // 8) * (width // 8), len(model.labels)),
    )


class Augment:
    """Random changes of pictures [batch, channels, height, width] that leave the person alone."""

    def __init__(self, model: Model) -> None:
        self.limit = model.limit

    def __call__(self, x: Tensor, random: torch.Generator) -> Tensor:
        x = moved(x, random, angle=0.15, scale=0.12, shift=0.12)
        x = x * uniform(x, 0.75, 1.25, random) + uniform(x, -0.5, 0.5, random)
        return (x + 0.1 * torch.randn(x.shape, generator=random)).clamp(-self.limit, self.limit)


def judged(network: nn.Module, data: Dataset, split: str) -> float:
    """Accuracy, rounded."""
    samples = data.where(split)
    return round(accuracy(scores(network, data, samples), data.label[samples]), 4)


def confidence(network: nn.Module, data: Dataset, samples: Tensor) -> float:
    """Median of the largest softmax probability, rounded."""
    return round(scores(network, data, samples).softmax(1).amax(1).median().item(), 4)


def main() -> None:
    options = command.arguments(__doc__, Path(__file__).parent)
    model = Model.read(options.model)
    data = load(options.client, model, options.data, "split_id")
    network = command.fitted(build, Augment, SCHEDULE, model, data, ("train",), options)
    figures = {"val": judged(network, data, "val")}
    print(figures, flush=True)
    network = command.fitted(build, Augment, SCHEDULE, model, data, ("train", "val"), options)
    figures["test, enrolled persons on other pictures"] = judged(network, data, "test")
    export(network, data.windows[:1], model.folder / "model.onnx")
    trust = {"test": confidence(network, data, data.where("test"))}
    if options.outside:
        strangers = load(options.client, model, options.outside)
        trust[f"{options.outside.name}, persons never enrolled"] = confidence(
            network, strangers, torch.arange(len(strangers.files))
        )
    figures = {"accuracy": figures, "median of the largest softmax probability": trust}
    print(figures, flush=True)
    write_expected(options.client, model, figures)


if __name__ == "__main__":
    main()
