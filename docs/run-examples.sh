#!/usr/bin/env bash
# Runs the examples of the documentation: the blocks marked `sh test` of each page, in order, in one shell per page, from
# the root of the repository. Stops the servers that a page has started in the background.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

script=$(mktemp)
trap 'rm -f "$script"' EXIT
for page in "$@"; do
  echo "== $page"
  {
    echo "trap 'kill \$(jobs -p) 2>/dev/null || true; wait' EXIT"
    awk '/^```sh test$/ { on = 1; next } /^```/ { on = 0 } on' "$page"
  } >"$script"
  timeout --foreground 30m bash -v -euo pipefail "$script"
done
