#!/usr/bin/env bash
# docs/accuracy.sh [PYTHON]: asks every model about its test split, in the clear and on three servers with active security, and writes
# the table of docs/accuracy.md. Needs $MPC_DATA, and a Python with models/training/requirements.txt. Takes an hour on two cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${1:-python3}
: "${MPC_DATA:?names the folder of the data sets}"
lists=$(mktemp -d)
trap 'rm -rf "$lists"' EXIT

# list MODEL DATASET OPTIONS...
asked=()
list() {
  local model=$1 data=$2
  shift 2
  "$python" -m models.training.lists "$MPC_DATA/$data" "$@" -o "$lists/$model/$data.csv"
  asked+=("models/$model" "$lists/$model/$data.csv")
}

list emotion emotion_ravdess
list speaker emotion_ravdess --column split_id --target speaker_or_identity
list speaker-words speaker_asc30 --column split_id --target speaker_or_identity
list speaker-verify speaker_asc30 --trials --every 5
list speaker-verify speaker_hyke83 --trials --every 5
list face faces_orl40 --column split_id
list face-match faces_orl40 --trials --every 2
list pneumonia xray_pneumoniamnist
list xray xray_covid3 --only normal pneumonia

cargo build --release --bin mpc-client --example accuracy
target/release/examples/accuracy "${asked[@]}" | tee "$lists/table"
{
  sed '/^| model /,$d' docs/accuracy.md
  cat "$lists/table"
} >"$lists/page"
cp "$lists/page" docs/accuracy.md
