"""Draws the sample pictures: faces of nobody, from a Gaussian model in the principal components of the training faces.

    python -m models.face.sample $MPC_DATA/faces_orl40
"""

from pathlib import Path

from ..training import drawing

if __name__ == "__main__":
    names = ["face.png", "face-2.png", "face-3.png"]
    drawing.clearest(drawing.arguments(__doc__), Path(__file__).parent, "split_id", names)
