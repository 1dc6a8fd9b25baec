#!/usr/bin/env python3
"""Rewrites the committed golden set tests/goldens/demo: transformers on the demo model, one picture and one text turn.

Keeps of what tools/hf_golden.py dumps only what tests/parity/check_bundle.py compares. Needs torch, torchvision,
transformers, pillow and safetensors.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

from PIL import Image
from safetensors.numpy import load_file, save_file

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
KEPT = ("image.resized_u8", "vision.block_in.0", "vision.merger", "vision.deepstack.", "text.position_ids",
        "text.input_ids", "text.final_norm", "text.logits_prefill_last", "decode.logits")


def main():
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        picture = work / "picture.png"  # not square, so that width and height cannot be mistaken for each other
        Image.open(ROOT / "demo/samples/2.jpg").convert("RGB").resize((320, 256), Image.Resampling.BICUBIC).save(picture)
        subprocess.run([sys.executable, ROOT / "tools/hf_golden.py", "run", "--model", ROOT / "demo/model", "--out",
                        work / "set", "--steps", "24", "--prompt", "Describe this image.", "--image", picture,
                        "--text", "What is the capital of France?"], check=True)
        for meta_file in (work / "set").glob("*/meta.json"):
            case = HERE / "demo" / meta_file.parent.name
            case.mkdir(parents=True, exist_ok=True)
            tensors = {k: v for k, v in load_file(meta_file.parent / "tensors.safetensors").items() if k.startswith(KEPT)}
            tensors["text.final_norm"] = tensors["text.final_norm"][-1:]
            save_file(tensors, case / "tensors.safetensors")
            meta = json.loads(meta_file.read_text(encoding="utf-8"))
            meta["tensors"] = {k: meta["tensors"][k] for k in tensors}
            (case / "meta.json").write_text(json.dumps(meta, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
