"""Trains the speaker verification model on several data sets in the manifest format and writes model.onnx,
calibration.npy and expected.json.

    python -m models.speaker-verify.train $MPC_DATA/speaker_asc30 $MPC_DATA/speaker_hyke83 $MPC_DATA/emotion_ravdess \
        $MPC_DATA/digits_fsdd $MPC_DATA/emotion_emodb

A network is trained on the speakers of `train`. The trials of `val`, of speakers it has not heard, give the threshold
(`embedding.threshold` of the manifest). The network that is kept is trained in the same way on the speakers of both; the
trials of `test`, of others again, judge it once.
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
from ..training.speech import Augment, Changes, other_lines, other_voice
from ..training.verification import CosineHead, Trials, embeddings, equal_error, errors, write_threshold

SCHEDULE = Schedule(epochs=16, batch=64, smoothing=0.0, margin=4.0, decay=2e-2)
SCALE = 20.0
CHANGES = Changes(tempo=0.07, shift=4, pitch=0.01, bands=0.4, gain=2, noise=(-110, -90), masks=(8, 14), cut=0.5)
WIDTH = 96  # channels of each block
SQUEEZED = 32
VOICES = (0.85, 0.93, 1.07, 1.15)  # frequencies times this make another speaker out of every speaker,
LINES = 5.0  # and levels changed by so many dB another line
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


def selected(data: Dataset, splits: tuple[str, ...], seed: int) -> Tensor:
    """The samples of an epoch: all of each speaker, but `MOST` at most and, some of them repeated, `LEAST` at least."""
    random = torch.Generator().manual_seed(seed)
    samples, parts = data.where(*splits), []
    for speaker in data.label[samples].unique():
        own = samples[data.label[samples] == speaker]
        own = own[torch.randperm(len(own), generator=random)]
        parts.append(own[torch.arange(min(max(len(own), LEAST), MOST)) % len(own)])
    return torch.cat(parts)


def fitted(model: Model, data: Dataset, splits: tuple[str, ...], options: argparse.Namespace) -> nn.Module:
    """A network trained on the speakers of these splits, each of them with their own voice and others."""
    deterministic(options.seed, options.threads)
    random = torch.Generator().manual_seed(options.seed)
    samples = selected(data, splits, options.seed)
    speakers, number = data.label[samples].unique(return_inverse=True)
    label = data.label.clone().fill_(-1)
    label[samples] = number
    own = replace(data, label=label)
    whole, chosen = own, [samples]
    for i, factor in enumerate(VOICES, 1):
        other = replace(own, windows=other_voice(own.windows, factor, model))
        windows = other_lines(other, LINES, model, random)
        whole = joined(whole, replace(own, windows=windows, label=label + i * len(speakers)))
        chosen.append(samples + i * len(label))
    network = Embedder(model)
    head = CosineHead(model.manifest["embedding"]["size"], len(speakers) * (1 + len(VOICES)), SCALE)
    augment = Augment(model, CHANGES)
    train(nn.Sequential(network, head), whole, torch.cat(chosen), augment, SCHEDULE, options.seed)
    return network.eval()


def cosines(network: nn.Module, sets: dict[str, Dataset], folders: list[Path], split: str) -> dict:
    """For each data set with trials of this split, their cosines and whether both are of one speaker."""
    pairs = {}
    for folder in folders:
        if (folder / f"trials_{split}.csv").exists():
            data = sets[folder.name]
            trials = Trials.read(folder, split, data)
            pairs[folder.name] = (trials.cosines(embeddings(network, data)), trials.same)
    return pairs


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
    val = cosines(fitted(model, everything, ("train",), options), sets, options.data, "val")
    threshold = round(equal_error(*map(torch.cat, zip(*val.values(), strict=True)))[1], 2)
    figures = {"threshold": threshold, "val": {name: judged(*pairs, threshold) for name, pairs in val.items()}}
    print(figures, flush=True)
    network = fitted(model, everything, ("train", "val"), options)
    export(network, everything.windows[:1], model.folder / "model.onnx")
    write_threshold(model, threshold)
    test = cosines(network, sets, options.data, "test")
    figures["test"] = {name: judged(*pairs, threshold) for name, pairs in test.items()}
    print(figures, flush=True)
    windows, _ = features(options.client, model.folder, sorted((model.folder / "samples").glob("*.wav")))
    np.save(model.folder / "calibration.npy", windows.numpy())
    write_expected(options.client, model, figures)


if __name__ == "__main__":
    main()
