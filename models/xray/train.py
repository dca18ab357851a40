"""Trains the X-ray model on pictures labelled normal and pneumonia and writes model.onnx and expected.json.

    python -m models.xray.train $MPC_DATA/xray_covid3

What has another label is left out: pictures of covid-19 come from another source than the rest, so a network would learn
the source. All choices are made on `train` and `val`; `test` is judged once.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..training import command, diagnosis
from ..training.data import Model
from ..training.fit import Schedule
from ..training.pictures import Centre, Changes

SCHEDULE = Schedule(epochs=60, decay=5e-2, mixup=0.4, balanced=True)
MEMBERS = 3  # networks whose logits are averaged
CHANNELS = (16, 32, 48)
CHANGES = Changes(
    angle=0.15, scale=0.12, shift=0.1, mirrored=0.5, stretch=0.08, contrast=0.3, brightness=0.3, noise=0.1
)


def build(model: Model) -> nn.Sequential:
    """Three convolutions over [1, height, width]; the last one's maps are averaged, because findings may be anywhere."""
    a, b, c = CHANNELS
    return nn.Sequential(
        Centre(),
        *command.pooled(1, a, size=5, stride=2),
        *command.pooled(a, b),
        *command.pooled(b, c),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(c, len(model.labels)),
    )


if __name__ == "__main__":
    diagnosis.run(command.arguments(__doc__, Path(__file__).parent), build, CHANGES.of, SCHEDULE, MEMBERS)
