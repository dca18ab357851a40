"""Trains the network that embeds faces on two collections in the manifest format and writes model.onnx and expected.json.

    python -m models.face-match.train $MPC_DATA/faces_orl40 --second $MPC_DATA/faces_yaleb38

No person of `val` or `test` is in `train`. The network is first trained on the persons of `train` and judged on pairs of
those of `val`, which also gives the threshold; then it is trained on both in the same way and judged once on `test`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..training import command
from ..training.data import Dataset, Model, joined, load, names
from ..training.fit import Schedule, export
from ..training.pictures import covered, lit, moved, uniform
from ..training.report import write_expected
from ..training.verification import CosineHead, Trials, embeddings, equal_error, errors, write_threshold

SCHEDULE = Schedule(epochs=100, batch=64, decay=5e-2, smoothing=0.0, margin=4.0)
CHANNELS = (24, 40, 64)
SCALE = 16.0  # of the cosines while training
BOX = 9  # pixels that a pixel's brightness and contrast are compared with, each way
PERSON = "speaker_or_identity"


class Even(nn.Module):
    """Takes the mean of its neighbourhood from every pixel and divides by their deviation: light matters less."""

    def forward(self, x: Tensor) -> Tensor:
        x = x - self.box(x)
        return x / (self.box(x * x) + 0.01).sqrt()

    @staticmethod
    def box(x: Tensor) -> Tensor:
        x = F.avg_pool2d(x, (BOX, 1), 1, (BOX // 2, 0), count_include_pad=False)
        return F.avg_pool2d(x, (1, BOX), 1, (0, BOX // 2), count_include_pad=False)


class Embedding(nn.Module):
    """Three convolutions and one linear layer; once trained, over the picture and its mirror image, added."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        _, height, width = model.manifest["input"]["shape"]
        size = model.manifest["embedding"]["size"]
        a, b, c = CHANNELS
        self.even = Even()
        self.body = nn.Sequential(
            *command.pooled(1, a, size=5, stride=2),
            *command.pooled(a, b),
            *command.block(b, c),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(c * (height // 8) * (width // 8), size, bias=False),
            nn.BatchNorm1d(size),
        )
        self.register_buffer("mirror", torch.eye(width).flip(0))

    def forward(self, x: Tensor) -> Tensor:
        x = self.even(x)
        if self.training:
            return self.body(x)
        mirrored = (x.squeeze(1) @ self.mirror).unsqueeze(1)
        return self.body(x) + self.body(mirrored)


class Augment:
    """Random changes of faces that leave the person alone; quantised as files are, which matters in the shadows."""

    def __init__(self, model: Model) -> None:
        image = model.manifest["preprocess"]
        self.mean, self.std = image["mean"][0], image["std"][0]

    def __call__(self, x: Tensor, random: torch.Generator) -> Tensor:
        x = moved(x * self.std + self.mean, random, angle=0.12, scale=0.1, shift=0.08, stretch=0.04)
        x = lit(x.clamp(0, 1), random, often=0.5)
        x = x.clamp(min=1e-3) ** uniform(x, -0.3, 0.3, random).exp()
        x = x * uniform(x, -0.3, 0.3, random).exp() + uniform(x, -0.05, 0.05, random)
        x = x + torch.randn(x.shape, generator=random) * uniform(x, 0, 0.03, random)
        x = covered(x, random, often=0.4)
        return ((x * 255).round().clamp(0, 255) / 255 - self.mean) / self.std


def blended(data: Dataset, splits: tuple[str, ...], label: int, seed: int) -> Dataset:
    """Adds persons who do not exist, because there are few: pictures of each person laid over those of the next two.
    Their labels start at `label`."""
    random = torch.Generator().manual_seed(seed)
    samples = data.where(*splits)
    persons = data.label[samples].unique().tolist()
    for step in (1, 2):
        for i, one in enumerate(persons):
            other = persons[(i + step) % len(persons)]
            a, b = (samples[data.label[samples] == person] for person in (one, other))
            b = b[torch.randperm(len(b), generator=random)][: len(a)]
            count = len(b)
            mixed = Dataset(
                files=[f"person {one} and {other}, {k}" for k in range(count)],
                windows=(data.windows[a[:count]] + data.windows[b]) / 2,
                first=torch.arange(count),
                count=torch.ones(count, dtype=torch.long),
                label=torch.full((count,), label),
                split=[splits[0]] * count,
            )
            data, label = joined(data, mixed), label + 1
    return data


def arguments() -> argparse.Namespace:
    parser = command.parser(__doc__, Path(__file__).parent)
    parser.add_argument("--second", type=Path, required=True, help="a second data set, trained on together with the first")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    model = Model.read(options.model)
    folders = [options.data, options.second]
    persons = [name for folder in folders for name in names(folder, PERSON, "train", "val")]
    first, second = (load(options.client, model, folder, target=PERSON, labels=persons) for folder in folders)
    data = joined(first, second)

    def network(*splits: str) -> nn.Module:
        more = joined(blended(first, splits, len(persons), options.seed), second)
        more = replace(more, label=compact(more, splits))
        count = int(more.label.max()) + 1

        def build(model: Model) -> nn.Sequential:
            return nn.Sequential(Embedding(model), CosineHead(model.manifest["embedding"]["size"], count, SCALE))

        return command.fitted(build, Augment, SCHEDULE, model, more, splits, options)[0]

    def cosines(network: nn.Module, split: str) -> dict[str, tuple[Tensor, Tensor]]:
        embedding = embeddings(network, data)
        trials = {folder.name: Trials.read(folder, split, data) for folder in folders}
        return {name: (pairs.cosines(embedding), pairs.same) for name, pairs in trials.items()}

    points = {name: equal_error(*pairs) for name, pairs in cosines(network("train"), "val").items()}
    threshold = round(sum(point for _, point in points.values()) / len(points), 3)
    figures = {"val, equal error rate": {name: round(rate, 4) for name, (rate, _) in points.items()}}
    figures["threshold"] = threshold
    print(points, figures, flush=True)
    final = network("train", "val")
    export(final, data.windows[:1], model.folder / "model.onnx", "embedding")
    write_threshold(model, threshold)
    pairs = cosines(final, "test")
    figures["test, equal error rate"] = {name: round(equal_error(*pair)[0], 4) for name, pair in pairs.items()}
    wrong = {name: errors(*pair, threshold) for name, pair in pairs.items()}
    figures["test, false accepts and rejects at the threshold"] = {
        name: [round(rate, 4) for rate in rates] for name, rates in wrong.items()
    }
    print(figures, flush=True)
    write_expected(options.client, model, figures)


def compact(data: Dataset, splits: tuple[str, ...]) -> Tensor:
    """Labels 0, 1, ... of the persons in these splits, -1 for all others."""
    samples = data.where(*splits)
    label = torch.full_like(data.label, -1)
    label[samples] = data.label[samples].unique(return_inverse=True)[1]
    return label


if __name__ == "__main__":
    main()
