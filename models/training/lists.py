"""Writes lists of what to ask a model about a test split, with the right answers, for `mpc-client/examples/accuracy.rs`.

    python -m models.training.lists $MPC_DATA/emotion_ravdess --column split_id --target speaker_or_identity -o speakers.csv
    python -m models.training.lists $MPC_DATA/faces_orl40 --trials -o faces.csv

Beside the list it puts the pictures that the data set keeps in archives.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from .data import paths, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with manifest.csv")
    parser.add_argument("--column", default="split", help="column of manifest.csv that holds the split")
    parser.add_argument("--target", default="label", help="column of manifest.csv that holds the answer")
    parser.add_argument("--only", nargs="*", help="only files with these answers")
    parser.add_argument("--trials", action="store_true", help="the pairs of trials_test.csv instead of single files")
    parser.add_argument("--every", type=int, default=1, help="only each so many-th")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the list; its folder is made where it is missing")
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with open(options.output, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        if options.trials:
            with open(options.data / "trials_test.csv", newline="", encoding="utf-8") as trials:
                pairs = list(csv.DictReader(trials))[:: options.every]
            table.writerow(["first", "second", "same"])
            for pair in pairs:
                table.writerow([options.data / pair["file1"], options.data / pair["file2"], pair["same"]])
        else:
            asked = [row for row in rows(options.data) if row[options.column] == "test"]
            asked = [row for row in asked if not options.only or row[options.target] in options.only][:: options.every]
            table.writerow(["file", "label"])
            files = paths(options.data, [row["file"] for row in asked], options.output.parent)
            table.writerows(zip(files, [row[options.target] for row in asked], strict=True))


if __name__ == "__main__":
    main()
