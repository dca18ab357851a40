"""The answer "unknown": how sure a network that names must be, and what that costs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from .data import Dataset
from .fit import scores


def left_out(data: Dataset, one_in: int) -> tuple[Dataset, Dataset]:
    """The data without every so-manieth label, and only those labels, with their numbers unchanged."""
    outside = (data.label % one_in == one_in // 2) & (data.label >= 0)
    one, other = (torch.where(which, data.label, -1) for which in (~outside, outside))
    return replace(data, label=one), replace(data, label=other)


def by_session(data: Dataset, second: str) -> Dataset:
    """The same data, where what was to train or validate is split by session: those with `second` in their names validate."""
    session = ["val" if second in file else "train" for file in data.files]
    split = [new if old in {"train", "val"} else old for old, new in zip(data.split, session, strict=True)]
    return replace(data, split=split)


def answers(network: nn.Module, data: Dataset, samples: Tensor) -> tuple[Tensor, Tensor]:
    """The largest logit, a mean per window, and its label, of each sample."""
    return (scores(network, data, samples) / data.count[samples, None]).max(1)


def threshold(network: nn.Module, enrolled: Dataset, split: str, rejected: float) -> float:
    """The mean logit per window that all but such a share of the enrolled reach who get their own name."""
    samples = enrolled.where(split)
    score, label = answers(network, enrolled, samples)
    return torch.quantile(score[label == enrolled.label[samples]], rejected).item()


def enrolled_shares(network: nn.Module, data: Dataset, split: str, limit: float) -> dict[str, float]:
    """Shares of the samples of enrolled persons that get their name, no name and another one's."""
    samples = data.where(split)
    score, label = answers(network, data, samples)
    named, right = score >= limit, label == data.label[samples]
    shares = {"right": named & right, "unknown": ~named, "another": named & ~right}
    return {answer: round(share.double().mean().item(), 4) for answer, share in shares.items()}


def named_share(network: nn.Module, outside: Dataset, split: str, limit: float) -> float:
    """Share of the samples of persons who are not enrolled that get somebody's name: false accepts."""
    score, _ = answers(network, outside, outside.where(split))
    return round((score >= limit).double().mean().item(), 4)
