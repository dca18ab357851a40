"""Writes what the ONNX runtime answers for every sample of a split, to compare other evaluators with.

    python -m models.training.onnx_labels models/emotion $MPC_DATA/emotion_ravdess -o labels.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .data import Model, load
from .report import split_answers, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder with manifest.toml and model.onnx")
    parser.add_argument("data", type=Path, help="folder with manifest.csv")
    parser.add_argument("--column", default="split", help="column of manifest.csv that holds the split")
    parser.add_argument("--split", default="test")
    parser.add_argument("--client", default="mpc-client", help="the program that computes the features")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    model = Model.read(options.model)
    data = load(options.client, model, options.data, options.column)
    write_json(options.output, split_answers(model, data, options.split))


if __name__ == "__main__":
    main()
