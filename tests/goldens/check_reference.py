#!/usr/bin/env python3
"""Runs qhx_reference on golden sets (folders that tools/hf_golden.py `run` wrote) and compares every stage.

  check_reference.py QHX_REFERENCE SET...

A SET holds index.json, one folder for each case and the model's own folder, `hf` (--model names another). Prints for
each stage the largest difference over all cases, divided by the largest magnitude of the stage in that case; exits with 1
if one is above --tolerance, or if pictures, position ids or any greedy token differ. Needs numpy and safetensors.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file


def stages(golden, dump):
    """(name, golden array, ours) of every stage of a case."""
    names = [("patches", "vision.pixel_values"), ("vision_in", "vision.block_in.0"), ("image_embeds", "vision.merger")]
    names += [(f"deepstack_{k}", f"vision.deepstack.{k}") for k in range(64)]
    names += [(f"block_out_{i:02}", f"vision.block_out.{i}") for i in range(1024)]
    names += [(f"layer_out_{i:02}", f"text.layer_out.{i}") for i in range(1024)]
    names += [("hidden_all", "text.final_norm")]
    for ours, theirs in names:
        if theirs in golden:
            yield ours, golden[theirs], np.load(dump / f"{ours}.npy")
    yield "hidden_prefill", golden["text.final_norm"][-1], np.load(dump / "hidden_prefill.npy")
    for step, logits in enumerate(golden["decode.logits"]):
        yield f"logits_{step:03}", logits, np.load(dump / f"logits_{step:03}.npy")


def exact(golden, meta, dump):
    """(name, equal) of what must be the same to the last bit."""
    if "image.resized_u8" in golden:
        yield "pixels", np.array_equal(golden["image.resized_u8"], np.load(dump / "pixels.npy"))
    yield "position_ids", np.array_equal(golden["text.position_ids"], np.load(dump / "position_ids.npy"))
    yield "input_ids", np.array_equal(golden["text.input_ids"], np.load(dump / "input_ids.npy"))
    yield "output_ids", meta["greedy_ids"] == np.load(dump / "output_ids.npy").tolist()


def run_case(a, golden, meta, case, model, dump):
    command = [a.program, model, "--ids", case / "meta.json", "--steps", str(len(meta["greedy_ids"])), "--dump", dump,
               "--detail"]
    if "image.resized_u8" in golden:
        picture = next(iter(sorted(case.parent.glob(f"{case.name}.png"))), None)
        if picture is None:
            np.save(dump / "rgb.npy", golden["image.resized_u8"])
            command += ["--rgb", dump / "rgb.npy"]
        else:
            command += ["--image", picture]
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL)


def check_case(a, case, model, worst):
    golden = load_file(case / "tensors.safetensors")
    meta = json.loads((case / "meta.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        dump = pathlib.Path(folder)
        run_case(a, golden, meta, case, model, dump)
        wrong = [name for name, equal in exact(golden, meta, dump) if not equal]
        for name, theirs, ours in stages(golden, dump):
            assert theirs.shape == ours.shape, f"{case}: {name}: expected {theirs.shape}, found {ours.shape}"
            difference = np.abs(theirs.astype(np.float64) - ours).max() / np.abs(theirs).max()
            group = name if not name.startswith("logits_") else "logits_*"
            # A NaN must not hide behind max().
            worst[group] = max(worst.get(group, 0.0), np.inf if np.isnan(difference) else float(difference))
    for name in wrong:
        print(f"{case}: {name}: differs")
    return not wrong


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program", help="qhx_reference")
    p.add_argument("sets", nargs="+", type=pathlib.Path)
    p.add_argument("--model", type=pathlib.Path, help="the Hugging Face folder; default: SET/hf")
    p.add_argument("--tolerance", type=float, default=2e-5)
    a = p.parse_args()
    good = True
    for folder in a.sets:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        worst, steps = {}, 0
        for case in index["cases"]:
            good &= check_case(a, folder / case["name"], a.model or folder / "hf", worst)
            steps += index["steps"]
        print(f"{folder.name}: {len(index['cases'])} cases, {steps} greedy tokens")
        for name, value in worst.items():
            failed = value > a.tolerance
            good &= not failed
            print(f"  {name:16} {value:9.2e}{'  ABOVE ' + format(a.tolerance, '.0e') if failed else ''}")
    print("all within tolerance, all ids equal" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
