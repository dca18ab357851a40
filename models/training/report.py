"""Answers of the exported network by the ONNX runtime: the reference for everything that evaluates it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor

from .data import Dataset, Model, features


class Reference:
    """The ONNX runtime with a model's file."""

    def __init__(self, model: Model) -> None:
        path = model.folder / "model.onnx"
        self.labels = model.labels
        self.unknown = model.manifest.get("unknown", {}).get("threshold", -math.inf)
        self.embeds = "embedding" in model.manifest
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def logits(self, windows: Tensor, count: Tensor) -> Tensor:
        """One row per sample: the sum over its windows."""
        rows = torch.from_numpy(self.session.run(None, {"input": windows.numpy()})[0])
        return torch.stack([part.sum(0) for part in rows.split(count.tolist())])

    def label(self, logits: Tensor, windows: int) -> str:
        """The answer to a sample of so many windows."""
        best = int(logits.argmax())
        return self.labels[best] if logits[best] >= windows * self.unknown else "unknown"

    def answers(self, files: Sequence[str], outputs: Tensor, count: Tensor) -> list[dict]:
        """File, label and logits of each sample; of a network that embeds, file and embedding as the network gives it."""
        answers = []
        for file, row, windows in zip(files, outputs, count.tolist(), strict=True):
            numbers = [round(x, 5) for x in row.tolist()]
            if self.embeds:
                answers.append({"file": file, "embedding": numbers})
            else:
                answers.append({"file": file, "label": self.label(row, windows), "logits": numbers})
        return answers


def split_answers(model: Model, data: Dataset, split: str) -> dict:
    """What the network says about every sample of a split."""
    reference = Reference(model)
    logits = reference.logits(data.windows, data.count)
    samples = data.where(split).tolist()
    answers = reference.answers([data.files[i] for i in samples], logits[samples], data.count[samples])
    return {"model": model.manifest["name"], "onnx_sha256": reference.sha256, "split": split, "results": answers}


def write_expected(client: str, model: Model, figures: dict | None = None) -> None:
    """Writes expected.json: the figures (those already there if none are given), and the answers for the samples."""
    path = model.folder / "expected.json"
    if figures is None:
        figures = json.loads(path.read_text(encoding="utf-8"))["figures"]
    reference = Reference(model)
    files = sorted(file for file in model.folder.glob("samples/*") if file.suffix in {".wav", ".png"})
    answers = []
    if files:
        windows, count = features(client, model.folder, files)
        answers = reference.answers([f"samples/{file.name}" for file in files], reference.logits(windows, count), count)
    write_json(path, {"onnx_sha256": reference.sha256, "figures": figures, "samples": answers})


def write_json(path: Path, content: dict) -> None:
    """Indented JSON with each list of numbers on one line."""
    text = json.dumps(content, indent=1)
    text = re.sub(r"\[\s+([\s\d.,e-]+?)\s+\]", lambda numbers: f"[{' '.join(numbers[1].split())}]", text)
    path.write_text(text + "\n", encoding="utf-8")
