"""What the training programs have in common: arguments, and how a network is built and trained for them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from torch import nn

from .data import Dataset, Model
from .fit import Augment, Schedule, deterministic, train


def parser(description: str | None, folder: Path, sets: str | None = None) -> argparse.ArgumentParser:
    """The arguments that every training program takes; `folder` is the model's own, `sets` says how many data sets there
    are, as argparse does."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=raw)
    parser.add_argument("data", type=Path, nargs=sets, help="folder with manifest.csv")
    parser.add_argument("--model", type=Path, default=folder, help="folder with manifest.toml")
    parser.add_argument("--outside", type=Path, help="a data set that is never trained on")
    parser.add_argument("--client", default="mpc-client", help="the program that computes the features")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    return parser


def arguments(description: str | None, folder: Path) -> argparse.Namespace:
    """Parses the command line."""
    return parser(description, folder).parse_args()


def block(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    """Convolution, normalisation, rectifier."""
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def pooled(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    """The same with a max-pool, which before the rectifier makes it four times cheaper."""
    convolution, normalisation, rectifier = block(inputs, outputs, size, stride)
    return [convolution, normalisation, nn.MaxPool2d(2), rectifier]


def along_time(
    inputs: int, outputs: int, size: int, stride: int = 1, dilation: int = 1, bands: int = 1
) -> list[nn.Module]:
    """Convolution over time on [inputs, bands, frames], after which one band is left, normalisation, rectifier."""
    around = (0, dilation * (size // 2))
    convolution = nn.Conv2d(inputs, outputs, (bands, size), (1, stride), around, (1, dilation), bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def fitted(
    build: Callable[[Model], nn.Module],
    augment: Callable[[Model], Augment],
    schedule: Schedule,
    model: Model,
    data: Dataset,
    splits: tuple[str, ...],
    options: argparse.Namespace,
    member: int = 0,
) -> nn.Module:
    """A network trained on these splits; `member` makes it another one."""
    deterministic(options.seed + member, options.threads)
    network = build(model)
    train(network, data, data.where(*splits), augment(model), schedule, options.seed + member)
    return network
