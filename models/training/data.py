"""Data sets in the manifest format, as the features that `mpc-client preprocess` makes of them."""

from __future__ import annotations

import csv
import json
import subprocess
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Model:
    """A model's folder and its manifest."""

    folder: Path
    manifest: dict

    @classmethod
    def read(cls, folder: Path) -> Model:
        return cls(folder, tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8")))

    @property
    def labels(self) -> list[str]:
        return self.manifest["labels"]

    @property
    def limit(self) -> float:
        """Largest magnitude of a feature."""
        return self.manifest["input"]["range"]


@dataclass(frozen=True)
class Dataset:
    """Samples of one or more windows each. `label` is -1 where the model does not know the label."""

    files: list[str]
    windows: Tensor  # [windows, shape...]
    first: Tensor  # [samples]: a sample's first window
    count: Tensor  # [samples]: how many it has
    label: Tensor  # [samples]
    split: list[str]  # train, val, test or nothing

    def where(self, *splits: str) -> Tensor:
        """Indices of the samples in these splits whose label the model knows."""
        known = [i for i, s in enumerate(self.split) if s in splits and self.label[i] >= 0]
        return torch.tensor(known, dtype=torch.long)


def features(client: str, model: Path, files: Sequence[Path]) -> tuple[Tensor, Tensor]:
    """All windows of the files, and how many each file has."""
    with tempfile.TemporaryDirectory() as scratch:
        listing, output = Path(scratch, "files.txt"), Path(scratch, "features.npy")
        listing.write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
        command = [client, "--json", "preprocess", "--model", model, "--list", listing, "-o", output]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        counts = [result["windows"] for result in json.loads(done.stdout)["results"]]
        return torch.from_numpy(np.load(output)), torch.tensor(counts)


def load(client: str, model: Model, folder: Path, column: str = "split") -> Dataset:
    """Reads a data set; `column` of its manifest.csv says which split a file belongs to."""
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if "#" not in row["file"]]
    windows, count = features(client, model.folder, [folder / row["file"] for row in rows])
    index = {label: i for i, label in enumerate(model.labels)}
    return Dataset(
        files=[row["file"] for row in rows],
        windows=windows,
        first=torch.cumsum(count, 0) - count,
        count=count,
        label=torch.tensor([index.get(row["label"], -1) for row in rows]),
        split=[row[column] for row in rows],
    )


def shuffled(data: Dataset, seed: int) -> Dataset:
    """The same samples split anew at random, train, val and test as large as before, whoever is speaking."""
    order = torch.randperm(len(data.split), generator=torch.Generator().manual_seed(seed))
    return Dataset(data.files, data.windows, data.first, data.count, data.label, [data.split[i] for i in order])
