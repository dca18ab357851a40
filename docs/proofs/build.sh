#!/usr/bin/env bash
# Compiles the proofs in an empty folder, and demands that nothing in them is taken for granted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if grep -nwE 'Admitted|admit|Abort|Axiom|Axioms|Parameter|Parameters|Conjecture|give_up|bypass_check' ./*.v; then
  echo 'left open'
  exit 1
fi
mapfile -t files < <(grep '\.v$' _CoqProject)
if [ "$(printf '%s\n' "${files[@]}" | sort)" != "$(ls ./*.v | sed 's|^\./||' | sort)" ]; then
  echo '_CoqProject does not name every file once'
  exit 1
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp ./*.v "$folder"
cd "$folder"
for file in "${files[@]}"; do
  coqc -q -w -notation-overridden,-ambiguous-paths -R . Check "$file" | tee -a output
done

asked=$(grep -c '^Print Assumptions' assumptions.v)
closed=$(grep -c '^Closed under the global context$' output || true)
if [ "$asked" -ne "$closed" ]; then
  echo "$closed of $asked theorems rest on nothing but their hypotheses"
  exit 1
fi
echo "$asked theorems, nothing admitted"
