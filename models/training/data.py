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
from PIL import Image
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


def rows(folder: Path) -> list[dict[str, str]]:
    """What a data set's manifest.csv says about each of its files."""
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names(folder: Path, column: str, *splits: str) -> list[str]:
    """The different values of a column in these splits, sorted."""
    return sorted({row[column] for row in rows(folder) if row["split"] in splits})


def paths(folder: Path, files: Sequence[str], scratch: Path) -> list[Path]:
    """Where the files are; picture 7 of `a.npz`, called `a.npz#7`, is written to `scratch` first."""
    archives = {}
    found = []
    for file in files:
        archive, member, index = file.partition("#")
        path = folder / file
        if member:
            if archive not in archives:
                archives[archive] = np.load(folder / archive)["images"]
            path = scratch / f"{archive}-{index}.png"
            Image.fromarray(archives[archive][int(index)]).save(path)
        found.append(path)
    return found


def load(
    client: str,
    model: Model,
    folder: Path,
    column: str = "split",
    target: str = "label",
    labels: Sequence[str] | None = None,
) -> Dataset:
    """Reads a data set. The columns of its manifest.csv: `column` says which split a file belongs to, `target` what it
    shows, one of `labels` (of the model's, unless given)."""
    listed = rows(folder)
    files = [row["file"] for row in listed]
    with tempfile.TemporaryDirectory() as scratch:
        windows, count = features(client, model.folder, paths(folder, files, Path(scratch)))
    index = {label: i for i, label in enumerate(model.labels if labels is None else labels)}
    return Dataset(
        files=files,
        windows=windows,
        first=torch.cumsum(count, 0) - count,
        count=count,
        label=torch.tensor([index.get(row[target], -1) for row in listed]),
        split=[row[column] for row in listed],
    )


def joined(one: Dataset, other: Dataset) -> Dataset:
    """The samples of both, whose labels count in the same list."""
    return Dataset(
        files=one.files + other.files,
        windows=torch.cat([one.windows, other.windows]),
        first=torch.cat([one.first, other.first + len(one.windows)]),
        count=torch.cat([one.count, other.count]),
        label=torch.cat([one.label, other.label]),
        split=one.split + other.split,
    )


def shuffled(data: Dataset, seed: int) -> Dataset:
    """The same samples split anew at random, train, val and test as large as before, whoever is speaking."""
    order = torch.randperm(len(data.split), generator=torch.Generator().manual_seed(seed))
    return Dataset(data.files, data.windows, data.first, data.count, data.label, [data.split[i] for i in order])
