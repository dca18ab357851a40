"""Draws the sample pictures: X-rays of nobody, from a Gaussian model in the principal components of the training pictures.

    python -m models.xray.sample $MPC_DATA/xray_covid3
"""

from pathlib import Path

from ..training import drawing

if __name__ == "__main__":
    drawing.clearest(drawing.arguments(__doc__), Path(__file__).parent, "split")
