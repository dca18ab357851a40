"""Trains the pneumonia model on PneumoniaMNIST in the manifest format and writes model.onnx and expected.json.

    python -m models.pneumonia.train $MPC_DATA/xray_pneumoniamnist

Pictures of `train` and `val` come from one collection, those of `test` from another. All choices are made within the
first; `test` is judged once.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..training import command, diagnosis
from ..training.data import Model
from ..training.fit import Schedule
from ..training.pictures import Centre, Changes

SCHEDULE = Schedule(epochs=15, batch=64, rate=4e-3, balanced=True)
MEMBERS = 3  # networks whose logits are averaged
CHANNELS = (16, 32)
# Not mirrored: the heart is on one side.
CHANGES = Changes(
    angle=0.08, scale=0.08, shift=0.06, mirrored=0.0, stretch=0.0, contrast=0.25, brightness=0.3, noise=0.1
)


def build(model: Model) -> nn.Sequential:
    """Two convolutions over [1, height, width] and one linear layer over the positions of the last maps."""
    _, height, width = model.manifest["input"]["shape"]
    a, b = CHANNELS
    return nn.Sequential(
        Centre(),
        *command.pooled(1, a, size=5, stride=2),
        *command.pooled(a, b),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(b * (height // 8) * (width // 8), len(model.labels)),
    )


if __name__ == "__main__":
    diagnosis.run(command.arguments(__doc__, Path(__file__).parent), build, CHANGES.of, SCHEDULE, MEMBERS)
