#!/usr/bin/env bash
# Prepares three parties in containers on this machine: builds the image, lets every party make its keys in its own volume,
# makes a client identity, and writes the files that say who trusts whom. Run it again after a change: existing keys are kept.
#
# Writes deploy/compose/config/ for the parties; ./client/ and ./cluster.toml for `mpc-client` in this folder.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
config=$here/config

if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
compose+=(-f "$here/docker-compose.yml")
if command -v mpc-client >/dev/null; then client=(mpc-client); else
  client=(cargo run --quiet --release --manifest-path "$here/../../Cargo.toml" --bin mpc-client --)
fi

# The fingerprint in the output of an `init` command.
fingerprint() { grep -oE 'sha256:[0-9a-f]{64}' | head -n 1; }

# cluster ADDRESS... > cluster.toml
cluster() {
  local i
  for i in 0 1 2; do
    printf '[[parties]]\nname = "party%d"\naddresses = ["%s"]\nfingerprints = ["%s"]\n\n' "$i" "$1" "${keys[i]}"
    shift
  done
}

"${compose[@]}" build
publisher=$("${client[@]}" init --identity client | fingerprint)

keys=()
for i in 0 1 2; do
  mkdir -p "$config/party$i"
  keys+=("$("${compose[@]}" run --rm --no-deps -T "party$i" init --dir /var/lib/mpc --name "party$i" | fingerprint)")
done

for i in 0 1 2; do
  cluster party0:7100 party1:7100 party2:7100 >"$config/party$i/cluster.toml"
  cat >"$config/party$i/party.toml" <<TOML
role = $i
listen = "0.0.0.0:7100"
identity = "/var/lib/mpc"
data = "/var/lib/mpc/data"
cluster = "cluster.toml"

# The weakest security that this party accepts. Clients ask for active security by default.
[security]
minimum = "passive"

[[clients]]
name = "client of setup.sh"
fingerprints = ["$publisher"]
may = ["classify", "publish"]
TOML
done
cluster 127.0.0.1:7100 127.0.0.1:7101 127.0.0.1:7102 >cluster.toml

echo "Ready. Next: ${compose[*]} up -d"
