"""Log-mel windows of speech, changed at random: what a voice may sound like another time, elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .data import Dataset, Model

UNIT = 10 / math.log(10)  # decibels per factor e of power
KNOTS = 6  # of a random curve over the bands


@dataclass(frozen=True)
class Changes:
    """How much is changed at most; what is 0 or None is left alone."""

    tempo: float = 0.1  # share
    shift: float = 12.0  # of the start, in frames
    pitch: float = 0.03  # scale of the bands, share
    bands: float = 1.5  # shift of the bands
    gain: float = 3.0  # dB
    noise: tuple[float, float] = (-75.0, -65.0)  # level in dB
    masks: tuple[float, float] = (8.0, 12.0)  # bands and frames that are hidden
    cut: float = 0.0  # share of the windows that end early, after half or more


class Augment:
    """Random changes of log-mel windows [batch, 1, bands, frames]."""

    def __init__(self, model: Model, changes: Changes) -> None:
        audio = model.manifest["preprocess"]
        self.std, self.mean = audio["std"][0], audio["mean"][0]
        self.floor = self.level(audio["floor_db"])
        self.limit = model.limit
        self.changes = changes

    def level(self, decibels: float) -> float:
        """A level as a feature value."""
        return (decibels - self.mean) / self.std

    def __call__(self, x: Tensor, random: torch.Generator) -> Tensor:
        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(len(x), 1, 1, 1, generator=random)

        change = self.changes
        x = self.warp(x, uniform)
        if change.cut:
            ends = x.shape[3] * torch.where(uniform(0, 1) < change.cut, uniform(0.5, 1), 1.0)
            x = torch.where(torch.arange(x.shape[3]) < ends, x, self.floor)
        x = self.louder(x, uniform(-change.gain, change.gain))
        low, high = change.noise
        x = self.add_noise(x, self.level(low) + uniform(0, high - low) / self.std, random)
        return self.mask(x, uniform).clamp(-self.limit, self.limit)

    def warp(self, x: Tensor, uniform) -> Tensor:
        """Changes tempo, pitch and the start of the window; what comes from outside is silence."""
        change, (bands, frames) = self.changes, x.shape[2:]
        time = torch.arange(frames).view(1, 1, 1, -1) * uniform(1 - change.tempo, 1 + change.tempo)
        time = time + uniform(-change.shift, change.shift)
        band = torch.arange(bands).view(1, 1, -1, 1) * uniform(1 - change.pitch, 1 + change.pitch)
        return self.sample(x, band + uniform(-change.bands, change.bands), time)

    def sample(self, x: Tensor, band: Tensor, time: Tensor) -> Tensor:
        """The windows at other bands and times, in the units of the old ones, interpolated."""
        bands, frames = x.shape[2:]
        time, band = torch.broadcast_tensors(2 * time / (frames - 1) - 1, 2 * band / (bands - 1) - 1)
        grid = torch.stack([time, band], -1)[:, 0].expand(len(x), -1, -1, -1)
        return F.grid_sample(x - self.floor, grid, align_corners=True) + self.floor

    def louder(self, x: Tensor, decibels: Tensor) -> Tensor:
        """Raises the level of what is no silence."""
        return torch.where(x > self.floor + 0.01, x + decibels / self.std, x)

    def add_noise(self, x: Tensor, level: Tensor, random: torch.Generator) -> Tensor:
        """Adds the power of noise of this level, which varies a little from value to value."""
        unit = UNIT / self.std  # features are decibels divided by `std`
        noise = level + 0.25 * torch.randn(x.shape, generator=random)
        return unit * torch.logaddexp(x / unit, noise / unit)

    def mask(self, x: Tensor, uniform) -> Tensor:
        """Hides some bands and some frames behind the mean (SpecAugment, Park et al., Interspeech 2019)."""
        level = x.mean((2, 3), keepdim=True)
        for axis, longest in zip((2, 3), self.changes.masks, strict=True):
            length = uniform(0, longest)
            start = uniform(0, 1) * (x.shape[axis] - length)
            at = torch.arange(x.shape[axis]).view([-1 if i == axis else 1 for i in range(4)])
            x = torch.where((at >= start) & (at < start + length), level, x)
        return x


def mel(hz: float) -> float:
    """Slaney's mel scale, as the features have it."""
    return hz * 3 / 200 if hz < 1000 else 15 + math.log(hz / 1000) * 27 / math.log(6.4)


def hertz(mel: float) -> float:
    """The inverse of [`mel`]."""
    return mel * 200 / 3 if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)


def other_voice(windows: Tensor, factor: float, model: Model) -> Tensor:
    """Windows as if all frequencies were `factor` times as high: another speaker who says the same."""
    audio = model.manifest["preprocess"]
    low, high = mel(audio["low_hz"]), mel(audio["high_hz"])
    step = (high - low) / (audio["bands"] + 1)
    bands = [(mel(hertz(low + step * (b + 1)) / factor) - low) / step - 1 for b in range(audio["bands"])]
    time = torch.arange(windows.shape[3], dtype=torch.float32)
    return Augment(model, Changes()).sample(windows, torch.tensor(bands).view(1, 1, -1, 1), time.view(1, 1, 1, -1))


def other_lines(data: Dataset, decibels: float, model: Model, random: torch.Generator) -> Tensor:
    """The windows as if each label's were recorded over a line of its own: levels changed by a smooth random curve over
    the bands with this standard deviation."""
    knots = torch.randn(int(data.label.max()) + 1, 1, KNOTS, 1, generator=random) * decibels
    curves = F.interpolate(knots, (data.windows.shape[2], 1), mode="bilinear", align_corners=True)
    return Augment(model, Changes()).louder(data.windows, curves[data.label.repeat_interleave(data.count)])
