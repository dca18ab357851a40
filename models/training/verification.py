"""Verification, "are these two of the same person?": networks that embed, trials, and the errors of a threshold."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import Dataset, Model
from .fit import scores


class CosineHead(nn.Module):
    """Turns embeddings into logits while training: `scale` times the cosine with a learned direction per person."""

    def __init__(self, size: int, persons: int, scale: float) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(persons, size))
        self.scale = scale

    def forward(self, embedding: Tensor) -> Tensor:
        return self.scale * F.linear(F.normalize(embedding), F.normalize(self.directions))


@dataclass(frozen=True)
class Trials:
    """Pairs of samples of a data set."""

    first: Tensor  # [trials]: a sample
    second: Tensor  # [trials]: the sample it is compared with
    same: Tensor  # [trials]: whether both are of the same person

    @classmethod
    def read(cls, folder: Path, split: str, data: Dataset) -> Trials:
        """The pairs of a split, from the data set's list of them."""
        index = {file: i for i, file in enumerate(data.files)}
        with open(folder / f"trials_{split}.csv", newline="", encoding="utf-8") as file:
            rows = [(index[row["file1"]], index[row["file2"]], int(row["same"])) for row in csv.DictReader(file)]
        first, second, same = torch.tensor(rows).T
        return cls(first, second, same.bool())

    def cosines(self, embedding: Tensor) -> Tensor:
        """Of the two embeddings of each pair; `embedding` is [samples, size], each of length 1."""
        return (embedding[self.first] * embedding[self.second]).sum(1)


def embeddings(network: nn.Module, data: Dataset) -> Tensor:
    """[samples, size], each of length 1: the network's outputs are added over a sample's windows first."""
    return F.normalize(scores(network, data, torch.arange(len(data.files))))


def errors(cosine: Tensor, same: Tensor, threshold: float) -> tuple[float, float]:
    """False accepts (share of the pairs of two persons at or above it), false rejects (of one person, below it)."""
    accepted = (cosine >= threshold).double()
    return accepted[~same].mean().item(), 1 - accepted[same].mean().item()


def equal_error(cosine: Tensor, same: Tensor) -> tuple[float, float]:
    """Equal error rate and its threshold: where false accepts and rejects are closest, the mean of the two."""
    order = cosine.argsort()
    different = (~same[order]).double()
    rejects = torch.cumsum(1 - different, 0) - (1 - different)
    rejects = rejects / same.sum()
    accepts = different.flip(0).cumsum(0).flip(0) / (~same).sum()
    best = int((accepts - rejects).abs().argmin())
    return ((accepts[best] + rejects[best]) / 2).item(), cosine[order[best]].item()


def write_threshold(model: Model, threshold: float) -> None:
    """Puts it into the manifest."""
    path = model.folder / "manifest.toml"
    text = re.sub(r"(?m)^threshold = .*$", f"threshold = {threshold:.3f}", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
