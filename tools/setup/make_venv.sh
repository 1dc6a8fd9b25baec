#!/usr/bin/env bash
# A Python environment for the tests.  make_venv.sh FOLDER [hf]
# Without "hf": small packages, and the vendor's QNN libraries for x86 (large; tests that need them skip without).
# With "hf": torch and transformers too, for parity with Hugging Face.
set -euo pipefail
folder=$1
here=$(cd "$(dirname "$0")/../.." && pwd)

[[ -x $folder/bin/pip ]] || python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check -r "$here/tests/requirements.txt"
if [[ $(uname -m) == x86_64 ]]; then
  # Only its libraries are used, so not the packages it depends on.
  "$folder/bin/pip" install -q --disable-pip-version-check --no-deps onnxruntime-qnn==2.7.0 ||
    echo "onnxruntime-qnn 2.7.0 cannot be had: the tests against the vendor's libraries will be SKIPPED" >&2
fi
if [[ ${2:-} == hf ]]; then
  "$folder/bin/pip" install -q --disable-pip-version-check -r "$here/tests/requirements-hf.txt"
fi
