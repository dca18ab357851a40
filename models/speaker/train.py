"""Trains a speaker identification model on a folder of recordings in the manifest format and writes model.onnx and
expected.json.

    python -m models.speaker.train $MPC_DATA/emotion_ravdess

The same speakers are in train, val and test, in other recordings (column `split_id`). A network without a fifth of the
speakers is trained on `train`; on `val` it says which score all but one in a hundred of the enrolled reach
(`unknown.threshold` of the manifest). It is trained again on both, and judged on `test` with that threshold. So is the network with all speakers,
which is the one that is kept.

For other speakers, copy the folder, edit the manifest's labels and pass it as --model.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import nn

from ..training import command
from ..training.data import Model, load
from ..training.fit import Schedule, accuracy, export, scores
from ..training.report import write_expected
from ..training.speech import Augment, Changes
from ..training.unknown import by_session, enrolled_shares, left_out, named_share, threshold

SCHEDULE = Schedule(epochs=70)
CHANGES = Changes(shift=6, pitch=0.01, bands=0.7, gain=6, noise=(-85, -65), masks=(14, 16))
CHANNELS = (128, 128, 192)
ONE_IN = 5  # speakers is left out to judge the threshold
REJECTED = 0.01  # of the enrolled on val: whoever is enrolled should be recognised


def build(model: Model) -> nn.Sequential:
    """Three convolutions over time, whose outputs are averaged over time."""
    _, bands, frames = model.manifest["input"]["shape"]
    a, b, c = CHANNELS
    return nn.Sequential(
        *command.along_time(1, a, 5, stride=2, bands=bands),
        nn.Dropout(0.1),
        *command.along_time(a, b, 3),
        nn.Dropout(0.1),
        *command.along_time(b, c, 3),
        nn.AvgPool2d((1, frames // 2)),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(c, len(model.labels)),
    )


def program(
    description: str | None, folder: Path, schedule: Schedule, changes: Changes, second: str | None = None
) -> None:
    """Trains, judges and writes the model of a folder. Where the files of a session have `second` in their names, the
    threshold is found on these, by a network that was trained on the first session: `val` holds recordings of the same
    sessions as `train`, which are easier than those of another day."""
    options = command.arguments(description, folder)
    model = Model.read(options.model)
    everyone = load(options.client, model, options.data, "split_id", "speaker_or_identity")
    enrolled, outside = left_out(everyone, ONE_IN)
    augment = partial(Augment, changes=changes)
    trained = partial(command.fitted, build, augment, schedule, model)

    if second is not None:
        enrolled, outside = (by_session(data, second) for data in (enrolled, outside))
    network = trained(enrolled, ("train",), options)
    inside = enrolled.where("val")
    limit = round(threshold(network, enrolled, "val", REJECTED), 2)
    val = {"accuracy": round(accuracy(scores(network, enrolled, inside), enrolled.label[inside]), 4)}
    val |= {"enrolled": enrolled_shares(network, enrolled, "val", limit)}
    val |= {"false accepts": named_share(network, outside, "val", limit)}
    print({"threshold": limit, "val": val}, flush=True)

    network = trained(enrolled, ("train", "val"), options)
    test = {"enrolled": enrolled_shares(network, enrolled, "test", limit)}
    test |= {"false accepts": named_share(network, outside, "test", limit)}
    print({"test": test}, flush=True)

    network = trained(everyone, ("train", "val"), options)
    samples = everyone.where("test")
    final = {"accuracy": round(accuracy(scores(network, everyone, samples), everyone.label[samples]), 4)}
    final |= {"enrolled": enrolled_shares(network, everyone, "test", limit)}
    export(network, everyone.windows[:1], model.folder / "model.onnx")
    figures = {"test, all speakers": final, "threshold": limit}
    figures |= {"a fifth of the speakers left out": {"val": val, "test": test}}
    print(figures, flush=True)
    write_expected(options.client, model, figures)


if __name__ == "__main__":
    program(__doc__, Path(__file__).parent, SCHEDULE, CHANGES)
