"""Trains the emotion model on a folder of recordings in the manifest format and writes model.onnx and expected.json.

    python -m models.emotion.train $MPC_DATA/emotion_ravdess --outside $MPC_DATA/emotion_emodb

The network is first trained on `train` and judged on `val`, then trained on both in the same way and judged once on
`test`. For other labels or features, copy the folder, edit its manifest and pass it as --model.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import Tensor, nn

from ..training import command
from ..training.data import Dataset, Model, load, shuffled
from ..training.fit import Schedule, balanced_accuracy, export, scores
from ..training.report import write_expected
from ..training.speech import Augment, Changes

AUGMENT = partial(Augment, changes=Changes())
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


def judged(network: nn.Module, data: Dataset, samples: Tensor) -> float:
    """Balanced accuracy, rounded."""
    return round(balanced_accuracy(scores(network, data, samples), data.label[samples]), 4)


def main() -> None:
    options = command.arguments(__doc__, Path(__file__).parent)
    model = Model.read(options.model)
    data = load(options.client, model, options.data)
    figures = {}
    network = command.fitted(build, AUGMENT, SCHEDULE, model, data, ("train",), options)
    figures["val"] = judged(network, data, data.where("val"))
    print(figures, flush=True)
    network = command.fitted(build, AUGMENT, SCHEDULE, model, data, ("train", "val"), options)
    figures["test, speakers never heard"] = judged(network, data, data.where("test"))
    print(figures, flush=True)
    export(network, data.windows[:1], model.folder / "model.onnx")
    if options.outside:
        outside = load(options.client, model, options.outside)
        everything = outside.where("train", "val", "test")
        figures[f"{options.outside.name}, all speakers"] = judged(network, outside, everything)
    mixed = shuffled(data, options.seed)
    network = command.fitted(build, AUGMENT, SCHEDULE, model, mixed, ("train", "val"), options)
    figures["test of a random split, speakers heard in training"] = judged(network, mixed, mixed.where("test"))
    print(figures, flush=True)
    write_expected(options.client, model, {"balanced accuracy": figures})


if __name__ == "__main__":
    main()
