"""Trains the speaker verification model on several data sets in the manifest format and writes model.onnx,
calibration.npy and expected.json.

    python -m models.speaker-verify.train $MPC_DATA/speaker_asc30 $MPC_DATA/speaker_hyke83 $MPC_DATA/emotion_ravdess \
        $MPC_DATA/digits_fsdd $MPC_DATA/emotion_emodb

The network is trained on the speakers of `train`. The trials of `val`, of speakers it has not heard, give the threshold
(`embedding.threshold` of the manifest); those of `test`, again of others, judge it once.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..training import command
from ..training.data import Dataset, Model, features, joined, load, names
from ..training.fit import Schedule, deterministic, export, train
from ..training.report import write_expected
from ..training.speech import Augment, Changes, other_voice
from ..training.verification import CosineHead, Trials, embeddings, equal_error, errors

SCHEDULE = Schedule(epochs=9, batch=64, smoothing=0.0, margin=4.0, decay=2e-2)
SCALE = 20.0
CHANGES = Changes(
    tempo=0.07,
    shift=4,
    pitch=0.01,
    bands=0.4,
    gain=8,
    noise=(-85, -65),
    masks=(8, 14),
    colour=3,
    echo=0.3,
    babble=0.3,
    cut=0.5,
)
WIDTH = 96  # channels of each block
SQUEEZED = 32
VOICES = (0.88, 1.12)  # frequencies times this make another speaker out of every speaker
LEAST, MOST = 20, 60  # samples of a speaker in an epoch


class SqueezeExcitation(nn.Module):
    """Scales each channel by what the means of all say (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(channels, SQUEEZED, 1), nn.ReLU(), nn.Conv2d(SQUEEZED, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean(3, keepdim=True))


class Block(nn.Module):
    """Dilated convolution, mixing of the channels, squeeze-excitation, around them a shortcut."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            *command.along_time(channels, channels, 3, dilation=dilation),
            nn.Dropout(0.1),
            *command.along_time(channels, channels, 1),
            SqueezeExcitation(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(x)


class Statistics(nn.Module):
    """Mean and standard deviation over time."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(3, keepdim=True)
        away = x - mean
        deviation = ((away * away).mean(3, keepdim=True) + 0.01).sqrt()
        return torch.cat([mean, deviation], 1).flatten(1)


class Embedder(nn.Module):
    """A small ECAPA-TDNN (Desplanques et al., Interspeech 2020) without attention in the pooling."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        bands, size = model.manifest["input"]["shape"][1], model.manifest["embedding"]["size"]
        self.first = nn.Sequential(*command.along_time(1, WIDTH, 5, stride=2, bands=bands))
        self.blocks = nn.ModuleList([Block(WIDTH, dilation) for dilation in (1, 2, 3)])
        self.last = nn.Sequential(
            *command.along_time(3 * WIDTH, 2 * WIDTH, 1),
            Statistics(),
            nn.BatchNorm1d(4 * WIDTH),
            nn.Dropout(0.1),
            nn.Linear(4 * WIDTH, size),
            nn.BatchNorm1d(size),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return self.last(torch.cat(outputs, 1))


def identities(client: str, model: Model, folders: list[Path]) -> dict[str, Dataset]:
    """Each data set, its labels the speakers of all of them."""
    column = "speaker_or_identity"
    speakers = [name for folder in folders for name in names(folder, column, "train", "val", "test")]
    return {folder.name: load(client, model, folder, "split", column, speakers) for folder in folders}


def selected(data: Dataset, seed: int) -> Tensor:
    """The samples of an epoch: all of each speaker, but `MOST` at most and, some of them repeated, `LEAST` at least."""
    random = torch.Generator().manual_seed(seed)
    samples, parts = data.where("train"), []
    for speaker in data.label[samples].unique():
        own = samples[data.label[samples] == speaker]
        own = own[torch.randperm(len(own), generator=random)]
        parts.append(own[torch.arange(min(max(len(own), LEAST), MOST)) % len(own)])
    return torch.cat(parts)


def fitted(model: Model, data: Dataset, options: argparse.Namespace) -> nn.Module:
    """A network trained on the speakers of `train`, each of them with their own voice and others."""
    deterministic(options.seed, options.threads)
    samples = selected(data, options.seed)
    speakers, number = data.label[samples].unique(return_inverse=True)
    label = data.label.clone().fill_(-1)
    label[samples] = number
    voices, chosen = data.windows, [samples]
    whole = replace(data, label=label)
    for i, factor in enumerate(VOICES, 1):
        other = replace(data, windows=other_voice(voices, factor, model), label=label + i * len(speakers))
        whole = joined(whole, other)
        chosen.append(samples + i * len(label))
    network = Embedder(model)
    head = CosineHead(model.manifest["embedding"]["size"], len(speakers) * (1 + len(VOICES)), SCALE)
    augment = Augment(model, CHANGES)
    train(nn.Sequential(network, head), whole, torch.cat(chosen), augment, SCHEDULE, options.seed)
    return network.eval()


def judged(cosine: Tensor, same: Tensor, threshold: float) -> dict[str, float]:
    """Equal error rate, and the errors at the threshold."""
    accepts, rejects = errors(cosine, same, threshold)
    rates = {"equal error rate": equal_error(cosine, same)[0], "false accepts": accepts, "false rejects": rejects}
    return {name: round(rate, 4) for name, rate in rates.items()}


def main() -> None:
    options = command.parser(__doc__, Path(__file__).parent, sets="+").parse_args()
    model = Model.read(options.model)
    sets = identities(options.client, model, options.data)
    everything = reduce(joined, sets.values())
    network = fitted(model, everything, options)
    export(network, everything.windows[:1], model.folder / "model.onnx")
    found: dict[str, dict] = {"val": {}, "test": {}}
    for folder in options.data:
        embedding = embeddings(network, sets[folder.name])
        for split in (split for split in found if (folder / f"trials_{split}.csv").exists()):
            trials = Trials.read(folder, split, sets[folder.name])
            found[split][folder.name] = (trials.cosines(embedding), trials.same)
    cosines, same = zip(*found["val"].values(), strict=True)
    threshold = round(equal_error(torch.cat(cosines), torch.cat(same))[1], 2)
    judge = {split: {name: judged(*pairs, threshold) for name, pairs in sets.items()} for split, sets in found.items()}
    figures = {"threshold": threshold, **judge}
    print(figures, flush=True)
    windows, _ = features(options.client, model.folder, sorted((model.folder / "samples").glob("*.wav")))
    np.save(model.folder / "calibration.npy", windows.numpy())
    write_expected(options.client, model, figures)


if __name__ == "__main__":
    main()
