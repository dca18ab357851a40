"""Draws the sample pictures: `one.png` and `one-again.png`, the same nobody in other light, and `other.png`, another nobody.

    python -m models.face-match.sample $MPC_DATA/faces_orl40

They come from a Gaussian model in the principal components of the training faces. Of many draws, those are kept whose
cosines are furthest from the threshold, so that rounding cannot change the answers.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ..training import drawing
from ..training.data import Model
from ..training.pictures import lit, moved
from ..training.report import write_expected


def again(faces: np.ndarray) -> np.ndarray:
    """The same faces, moved a little and in other light."""
    random = torch.Generator().manual_seed(7)
    x = torch.from_numpy(faces).float().unsqueeze(1) / 255
    x = lit(moved(x, random, angle=0.05, scale=0.05, shift=0.03, mirrored=0.0), random, often=1.0)
    return (255 * x.clamp(0, 1)).round().squeeze(1).numpy().astype(np.uint8)


def main() -> None:
    options, folder = drawing.arguments(__doc__), Path(__file__).parent
    model = Model.read(folder)
    faces = drawing.draw(drawing.training_pictures(options.data, "split"), np.random.default_rng(7))
    second = again(faces)
    one, two = (F.normalize(drawing.outputs(options.client, model, pictures)) for pictures in (faces, second))
    same, different = (one * two).sum(1), torch.maximum(one @ one.T, two @ one.T)
    ahead = torch.minimum(same.unsqueeze(1) - model.manifest["embedding"]["threshold"], -different)
    first, other = divmod(int(ahead.argmax()), len(faces))
    drawing.save(faces[first], folder, "one.png")
    drawing.save(second[first], folder, "one-again.png")
    drawing.save(faces[other], folder, "other.png")
    print(f"cosines: same {same[first]:.2f}, different at most {different[first, other]:.2f}")
    write_expected(options.client, model)


if __name__ == "__main__":
    main()
