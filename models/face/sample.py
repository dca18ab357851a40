"""Draws the sample pictures: faces of nobody, from a Gaussian model in the principal components of the training faces.

    python -m models.face.sample $MPC_DATA/faces_orl40

Of many draws, those are kept whose answer is clearest, so that rounding cannot change it.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..training.data import Model, features
from ..training.report import Reference, write_expected

FOLDER = Path(__file__).parent
NAMES = ["face.png", "face-2.png", "face-3.png"]
COMPONENTS, DRAWS, SPREAD = 24, 300, 0.9


def training_faces(folder: Path) -> np.ndarray:
    """Intensities, [pictures, height, width]."""
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split_id"] == "train"]
    return np.stack([np.asarray(Image.open(folder / name).convert("L"), dtype=np.float64) for name in names])


def draw(faces: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Faces drawn from the Gaussian, [DRAWS, height, width]."""
    flat = faces.reshape(len(faces), -1)
    mean = flat.mean(0)
    _, values, axes = np.linalg.svd(flat - mean, full_matrices=False)
    spread = SPREAD * values[:COMPONENTS] / np.sqrt(len(faces) - 1)
    drawn = mean + (random.standard_normal((DRAWS, COMPONENTS)) * spread) @ axes[:COMPONENTS]
    return drawn.clip(0, 255).astype(np.uint8).reshape(DRAWS, *faces.shape[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with manifest.csv")
    parser.add_argument("--client", default="mpc-client", help="the program that computes the features")
    options = parser.parse_args()

    drawn = draw(training_faces(options.data), np.random.default_rng(7))
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch, f"{i}.png") for i in range(DRAWS)]
        for file, face in zip(files, drawn, strict=True):
            Image.fromarray(face).save(file)
        model = Model.read(FOLDER)
        logits = Reference(model).logits(*features(options.client, FOLDER, files))
    best, second = logits.topk(2, 1).values.T
    label, kept = logits.argmax(1), []
    for i in torch.argsort(second - best).tolist():
        if label[i] not in label[kept]:
            kept.append(i)
    (FOLDER / "samples").mkdir(exist_ok=True)
    for name, i in zip(NAMES, kept):
        Image.fromarray(drawn[i]).save(FOLDER / "samples" / name, optimize=True)
        print(f"{name}: {model.labels[int(label[i])]}, ahead by {best[i] - second[i]:.2f}")
    write_expected(options.client, model)


if __name__ == "__main__":
    main()
