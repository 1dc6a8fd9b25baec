#!/usr/bin/env python3
"""The product against Hugging Face, stage by stage: forge a golden set's checkpoint, run qhx_generate, compare its dump.

  check_bundle.py --build build SET [SET ...]               f16 weights against the goldens
  check_bundle.py --build build --weights w8 SET [SET ...]  W8 (or w4) against the reference with the same weights dequantized

A SET is a folder as tools/hf_golden.py writes it: hf/ (the checkpoint) and one folder a case with meta.json and
tensors.safetensors. Prints a table; fails below the thresholds, or where greedy ids part although the two best logits
are further apart than fp16 can blur. Needs numpy, safetensors and pillow.
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

THRESHOLD = {"f16": 0.99999, "w8": 0.9999, "w4": 0.9999}
EXACT = ["pixels", "position_ids", "input_ids"]
# Logits closer than this part of the largest magnitude may change places under fp16 weights.
BLUR = 2e-3
TURN = re.compile(r"(?:<\|im_start\|>system\n(?P<system>.*?)<\|im_end\|>\n)?<\|im_start\|>user\n"
                  r"(?P<picture><\|vision_start\|>(?:<\|image_pad\|>)+<\|vision_end\|>)?(?P<text>.*)<\|im_end\|>\n"
                  r"<\|im_start\|>assistant\n", re.S)


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nexit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def load_dump(folder):
    return {os.path.splitext(os.path.basename(p))[0]: np.load(p) for p in glob.glob(os.path.join(folder, "*.npy"))}


def golden_stages(tensors, meta):
    """The golden tensors under the names of a dump."""
    names = {"pixels": "image.resized_u8", "patches": "vision.pixel_values", "vision_in": "vision.block_in.0",
             "image_embeds": "vision.merger", "position_ids": "text.position_ids", "input_ids": "text.input_ids",
             "logits_000": "text.logits_prefill_last"}
    stages = {ours: tensors[theirs] for ours, theirs in names.items() if theirs in tensors}
    stages |= {f"deepstack_{k.rsplit('.', 1)[1]}": v for k, v in tensors.items() if k.startswith("vision.deepstack.")}
    stages["hidden_prefill"] = tensors["text.final_norm"][-1]
    for step, row in enumerate(tensors.get("decode.logits", [])):
        stages[f"logits_{step:03}"] = row
    stages["output_ids"] = np.array(meta["greedy_ids"])
    return stages


def cosine(a, b):
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300))


def compare_ids(ours, wanted, gaps, stop_ids):
    """None if the ids agree up to a stop, else what is wrong. gaps[t]: relative distance of the two best logits at t."""
    for step, want in enumerate(wanted):
        if step >= len(ours):
            stopped = len(ours) > 0 and int(ours[-1]) in stop_ids
            return None if stopped else f"ended after {len(ours)} of {len(wanted)} tokens"
        if int(ours[step]) != int(want):
            if step < len(gaps) and gaps[step] < BLUR:
                return None
            return f"step {step}: {int(ours[step])} instead of {int(want)}"
        if int(want) in stop_ids:
            return None
    return None


def reference_gaps(stages):
    gaps = []
    for name in sorted(n for n in stages if n.startswith("logits_")):
        top = np.sort(stages[name])[-2:]
        gaps.append(float(top[1] - top[0]) / max(float(np.abs(stages[name]).max()), 1e-9))
    return gaps


class Check:
    def __init__(self, args, work):
        self.args, self.work, self.failures = args, work, []
        self.library = os.path.join(args.build, "lib", "libQhxCpu.so")
        self.bundles = {}

    def bundle(self, hf, size):
        if (hf, size) not in self.bundles:
            out = os.path.join(self.work, f"bundle{len(self.bundles)}")
            run([os.path.join(self.args.build, "bin", "qhx"), "forge", hf, "--target", "cpu", "--weights",
                 self.args.weights, "--image", size, "--name", "golden", "--ctx", self.args.ctx, "--prefill",
                 self.args.prefill, "-o", out])
            self.bundles[hf, size] = out
        return self.bundles[hf, size]

    def generate(self, bundle, meta, picture, steps):
        turn = TURN.fullmatch(meta["rendered"])
        dump = tempfile.mkdtemp(dir=self.work)
        kind = "vlm" if picture else "text"
        manifest, = glob.glob(os.path.join(bundle, f"*-{kind}-*.json"))
        command = [os.path.join(self.args.build, "bin", "qhx_generate"), manifest, self.library, self.library, bundle,
                   str(steps), turn["text"]] + ([picture] if picture else []) + ["--dump", dump]
        if turn["system"] is not None:
            command += ["--system", turn["system"]]
        run(command)
        return load_dump(dump)

    def reference(self, hf, meta, picture, steps):
        dump = tempfile.mkdtemp(dir=self.work)
        ids = os.path.join(dump, "ids.json")
        with open(ids, "w", encoding="utf-8") as f:
            json.dump(meta["input_ids"], f)
        run([os.path.join(self.args.build, "bin", "qhx_reference"), hf, "--ids", ids, "--steps", str(steps), "--weights",
             self.args.weights, "--dump", dump] + (["--image", picture] if picture else []))
        return load_dump(dump)

    def case(self, set_dir, name):
        meta = json.load(open(os.path.join(set_dir, name, "meta.json"), encoding="utf-8"))
        tensors = load_file(os.path.join(set_dir, name, "tensors.safetensors"))
        hf = os.path.join(set_dir, "hf")
        picture, size = None, "256"
        if "image.resized_u8" in tensors:
            pixels = tensors["image.resized_u8"]
            picture = os.path.join(self.work, "picture.png")
            Image.fromarray(pixels).save(picture)
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        steps = len(meta["greedy_ids"])
        ours = self.generate(self.bundle(hf, size), meta, picture, steps)
        wanted = golden_stages(tensors, meta) if self.args.weights == "f16" else self.reference(hf, meta, picture, steps)
        gaps = [g / max(float(np.abs(tensors["text.logits_prefill_last"]).max()), 1e-9) for g in meta["top2_gaps"]]
        if self.args.weights != "f16":
            gaps = reference_gaps(wanted)
        stop_ids = json.load(open(os.path.join(hf, "generation_config.json"), encoding="utf-8"))["eos_token_id"]
        self.report(f"{os.path.basename(os.path.normpath(set_dir))}/{name}", ours, wanted, gaps, stop_ids)

    def report(self, title, ours, wanted, gaps, stop_ids):
        lines, agree = [], compare_ids(ours["output_ids"], wanted["output_ids"], gaps, stop_ids)
        for stage in sorted(wanted):
            if stage == "output_ids":
                continue
            if stage not in ours:
                if stage.startswith("logits_") and int(stage[7:]) >= len(ours["output_ids"]):
                    continue
                self.failures.append(f"{title}: no {stage} in the dump")
                continue
            a, b = ours[stage], wanted[stage]
            if a.shape != b.shape:
                self.failures.append(f"{title}: {stage} has shape {a.shape}, expected {b.shape}")
                continue
            if stage.startswith("logits_") and (ours["output_ids"][:int(stage[7:])]
                                                != wanted["output_ids"][:int(stage[7:])]).any():
                continue  # after a difference that fp16 explains, the texts are different ones
            if stage in EXACT:
                if (a != b).any():
                    self.failures.append(f"{title}: {stage} differs")
                continue
            value = cosine(a, b)
            lines.append((stage, value))
            if not value >= THRESHOLD[self.args.weights]:
                self.failures.append(f"{title}: {stage}: cosine {value:.7f} is below {THRESHOLD[self.args.weights]}")
        if agree:
            self.failures.append(f"{title}: greedy ids: {agree}")
        worst = min(lines, key=lambda line: line[1])
        print(f"{title:40} {len(lines):3} stages, worst {worst[0]} {worst[1]:.8f}; "
              f"{len(ours['output_ids'])} ids {'DIFFER' if agree else 'agree'}", flush=True)
        if self.args.verbose:
            for stage, value in lines:
                print(f"    {stage:16} {value:.8f}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sets", nargs="+", metavar="SET")
    p.add_argument("--build", default="build")
    p.add_argument("--weights", default="f16", choices=sorted(THRESHOLD))
    p.add_argument("--ctx", default="1024", help="as of qhx forge: several tries the growing cache")
    p.add_argument("--prefill", default="128", help="as of qhx forge: shorter than the prompts tries chunking")
    p.add_argument("--verbose", action="store_true")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as work:
        check = Check(a, work)
        for set_dir in a.sets:
            for meta in sorted(glob.glob(os.path.join(set_dir, "*", "meta.json"))):
                check.case(set_dir, os.path.basename(os.path.dirname(meta)))
        for failure in check.failures:
            print(f"FAILED {failure}")
        sys.exit(1 if check.failures else 0)


if __name__ == "__main__":
    main()
