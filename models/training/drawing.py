"""Draws sample pictures that show nothing and nobody real: from a Gaussian in the principal components of real ones."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from .data import Model, features, paths, rows
from .report import Reference, write_expected

COMPONENTS, DRAWS, SPREAD = 24, 300, 0.9


def arguments(description: str | None) -> argparse.Namespace:
    """Parses the command line of a program that draws samples."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=raw)
    parser.add_argument("data", type=Path, help="folder with manifest.csv")
    parser.add_argument("--client", default="mpc-client", help="the program that computes the features")
    return parser.parse_args()


def training_pictures(folder: Path, column: str, labels: Sequence[str] | None = None) -> np.ndarray:
    """Intensities of the pictures of `train` (that have one of these labels), [pictures, height, width]."""
    listed = [row for row in rows(folder) if row[column] == "train" and (labels is None or row["label"] in labels)]
    with tempfile.TemporaryDirectory() as scratch:
        files = paths(folder, [row["file"] for row in listed], Path(scratch))
        return np.stack([np.asarray(Image.open(file).convert("L"), dtype=np.float64) for file in files])


def draw(pictures: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Pictures drawn from the Gaussian, [DRAWS, height, width]."""
    flat = pictures.reshape(len(pictures), -1)
    mean = flat.mean(0)
    _, values, axes = np.linalg.svd(flat - mean, full_matrices=False)
    spread = SPREAD * values[:COMPONENTS] / np.sqrt(len(pictures) - 1)
    drawn = mean + (random.standard_normal((DRAWS, COMPONENTS)) * spread) @ axes[:COMPONENTS]
    return drawn.clip(0, 255).astype(np.uint8).reshape(DRAWS, *pictures.shape[1:])


def outputs(client: str, model: Model, pictures: np.ndarray) -> Tensor:
    """What the network says about each picture."""
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch, f"{i}.png") for i in range(len(pictures))]
        for file, picture in zip(files, pictures, strict=True):
            Image.fromarray(picture).save(file)
        return Reference(model).logits(*features(client, model.folder, files))


def save(picture: np.ndarray, folder: Path, name: str) -> None:
    """Writes one sample of the model in this folder."""
    (folder / "samples").mkdir(exist_ok=True)
    Image.fromarray(picture).save(folder / "samples" / name, optimize=True)


def clearest(options: argparse.Namespace, folder: Path, column: str, names: Sequence[str] | None = None) -> None:
    """Keeps the draws whose answer is clearest, so that rounding cannot change it, each of another label: as many as
    there are names, or one for each label, named after it."""
    model = Model.read(folder)
    drawn = draw(training_pictures(options.data, column, model.labels), np.random.default_rng(7))
    logits = outputs(options.client, model, drawn)
    best, second = logits.topk(2, 1).values.T
    label, kept = logits.argmax(1), []
    for i in (second - best).argsort().tolist():
        if label[i] not in label[kept]:
            kept.append(i)
    for name, i in zip(names or [f"{model.labels[int(label[i])]}.png" for i in kept], kept):
        save(drawn[i], folder, name)
        print(f"{name}: {model.labels[int(label[i])]}, ahead by {best[i] - second[i]:.2f}")
    write_expected(options.client, model)
