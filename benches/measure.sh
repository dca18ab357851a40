#!/usr/bin/env bash
# Measures everything for docs/performance.md into a folder, in some 20 minutes, and writes the page:
#
#   benches/measure.sh FOLDER
#
# Keep the machine quiet meanwhile. RIVAL, RIVAL_LAN and RIVAL_WAN are the rival's commands for each link, with {programs} and
# {runs} in them; without one there is no rival. RUNS is the number of timed runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$1
runs=${RUNS:-5}
mkdir -p "$folder"
cargo build --release --locked --package benches

# measure FILE RIVAL ARGUMENT...
measure() {
  local file=$folder/$1 rival=$2
  shift 2
  echo "== $* $rival" >&2
  target/release/benches --json "$@" ${rival:+--rival "$rival"} | tee "$file"
}

processor=$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -1)
features=$(grep -q avx512f /proc/cpuinfo && echo ' with AVX-512' || true)
printf '{"machine": "%s", "cores": %d, "memory_gb": %d, "system": "%s", "date": "%s", "commit": "%s"}\n' \
  "$processor$features" "$(nproc)" "$(awk '/MemTotal/ { print int($2 / 1e6 + 0.5) }' /proc/meminfo)" "$(uname -sr)" \
  "$(date -u +%F)" "$(git rev-parse --short=10 HEAD)" >"$folder/machine.json"

programs=emotion40,emotion216,lenet5,face64,resnet18,relu100000,mul1000000,matmul512
measure loopback.json "${RIVAL:-}" --runs "$runs" --programs $programs
measure loopback-own.json '' --runs "$runs" --programs lenet5avg
measure rounds.json '' --runs "$runs" --programs round64,round4096,round65536,beside64
for link in lan wan; do
  rival=RIVAL_${link^^}
  measure "$link.json" "${!rival:-}" --runs "$runs" --link $link --programs emotion40,lenet5,face64,relu100000
  measure "$link-rounds.json" '' --runs "$runs" --link $link --programs round64
done
for batch in 1 4 16 64; do
  measure "batch-$batch.json" '' --runs 3 --batch $batch --programs emotion40,lenet5
done
for sessions in 4 16; do
  measure "sessions-$sessions.json" '' --runs "$runs" --sessions $sessions --programs emotion40,lenet5
done
target/release/kernels --json >"$folder/kernels.json"

target/release/benches report "$folder"/{machine,loopback,loopback-own,rounds,lan,lan-rounds,wan,wan-rounds}.json \
  "$folder"/batch-*.json "$folder"/sessions-*.json "$folder/kernels.json"
