"""Random changes of pictures [batch, channels, height, width] that leave alone what they show."""

from __future__ import annotations

import math

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import Model
from .fit import Augment


class Centre(nn.Module):
    """Takes the mean away from every picture, so that exposure does not matter."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean((2, 3), keepdim=True)


def uniform(x: Tensor, low: float, high: float, random: torch.Generator) -> Tensor:
    """One number per picture, to be multiplied with or added to it."""
    return low + (high - low) * torch.rand(len(x), generator=random).view(-1, 1, 1, 1)


def moved(
    x: Tensor,
    random: torch.Generator,
    angle: float,
    scale: float,
    shift: float,
    mirrored: float = 0.5,
    stretch: float = 0.0,
) -> Tensor:
    """Turned by up to `angle` radians, scaled, shifted by up to `shift` half widths, a share `mirrored` of them mirrored,
    the widths scaled once more by up to `stretch`; the border is repeated."""

    def draw(low: float, high: float) -> Tensor:
        return uniform(x, low, high, random).flatten()

    turn, size = draw(-angle, angle), draw(1 - scale, 1 + scale)
    width = torch.where(draw(0, 1) < 1 - mirrored, size, -size)
    if stretch:
        width = width * draw(1 - stretch, 1 + stretch)
    rows = [
        torch.stack([width * turn.cos(), -size * turn.sin(), draw(-shift, shift)], 1),
        torch.stack([width * turn.sin(), size * turn.cos(), draw(-shift, shift)], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def exposed(x: Tensor, random: torch.Generator, contrast: float, brightness: float, noise: float) -> Tensor:
    """Contrast changed by up to a factor e**`contrast`, up to `brightness` added, and noise of up to this deviation."""
    mean = x.mean((2, 3), keepdim=True)
    contrast_of = uniform(x, -contrast, contrast, random).exp()
    x = mean + (x - mean) * contrast_of + uniform(x, -brightness, brightness, random)
    return x + torch.randn(x.shape, generator=random) * uniform(x, 0, noise, random)


def lit(x: Tensor, random: torch.Generator, often: float) -> Tensor:
    """Intensities 0..1 as if, in a share `often` of the pictures, light came from one side; the edge of the shadow is
    anything from soft to sharp."""
    height, width = x.shape[2:]
    down, across = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    direction = uniform(x, 0, 2 * math.pi, random)
    depth = direction.cos() * across + 0.6 * direction.sin() * down + uniform(x, -0.6, 1.2, random)
    shadow = uniform(x, 0.05, 1, random)
    light = shadow + (1 - shadow) * torch.sigmoid(depth * uniform(x, 0, math.log(6), random).exp())
    return torch.where(uniform(x, 0, 1, random) < often, x * light, x)


def covered(x: Tensor, random: torch.Generator, often: float) -> Tensor:
    """Intensities with, in a share `often` of the pictures, an even rectangle of up to a third of the width and height."""
    inside = uniform(x, 0, 1, random) < often
    for axis in (2, 3):
        size = x.shape[axis]
        length = uniform(x, 0.1, 0.35, random) * size
        start = uniform(x, 0, 1, random) * size - length / 2
        at = torch.arange(size).view([-1 if i == axis else 1 for i in range(4)])
        inside = inside & (at >= start) & (at < start + length)
    return torch.where(inside, uniform(x, 0, 1, random), x)


@dataclass(frozen=True)
class Changes:
    """How far pictures are moved (`moved`) and exposed (`exposed`) otherwise."""

    angle: float
    scale: float
    shift: float
    mirrored: float
    stretch: float
    contrast: float
    brightness: float
    noise: float

    def of(self, model: Model) -> Augment:
        """These changes, within the range of the model's input."""

        def changed(x: Tensor, random: torch.Generator) -> Tensor:
            x = moved(x, random, self.angle, self.scale, self.shift, self.mirrored, self.stretch)
            x = exposed(x, random, self.contrast, self.brightness, self.noise)
            return x.clamp(-model.limit, model.limit)

        return changed
