#!/usr/bin/env bash
# Runs every fuzz target of a build folder for a while: run.sh BUILD [SECONDS]. Crashes stay as files beside the corpus.
set -euo pipefail
build=$1
seconds=${2:-60}
here=$(cd "$(dirname "$0")" && pwd)
found=0
for target in "$build"/bin/*_fuzz; do
  [[ -x $target ]] || continue
  found=1
  name=$(basename "$target")
  corpus=$build/corpus/$name
  mkdir -p "$corpus"
  seeds=("$corpus")
  [[ -d $here/seeds/$name ]] && seeds+=("$here/seeds/$name")
  echo "== $name, $seconds s"
  "$target" -max_total_time="$seconds" -print_final_stats=0 -verbosity=0 -artifact_prefix="$build/corpus/$name-" "${seeds[@]}"
done
[[ $found -eq 1 ]] || { echo "no fuzz target in $build/bin" >&2; exit 1; }
