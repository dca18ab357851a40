"""Trains the model that names who says a word: the network and the program of `models/speaker`, for clips of 1 s.

    python -m models.speaker-words.train $MPC_DATA/speaker_asc30
"""

from pathlib import Path

from ..speaker.train import CHANGES, program
from ..training.fit import Schedule

SCHEDULE = Schedule(epochs=50)

if __name__ == "__main__":
    program(__doc__, Path(__file__).parent, SCHEDULE, CHANGES, second="_04")
