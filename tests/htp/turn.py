"""One forged bundle and the turns it is asked: the figures that emulation.py judges."""
import json
import os
import subprocess
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "parity"))
from check_bundle import BLUR, load_dump  # noqa: E402


class Failed(Exception):
    """A program that ended with an error, or a figure that is not what it has to be."""


def run(command, codes=(0,)):
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode not in codes:
        raise Failed(f"{' '.join(command)}\nexit code {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def need(condition, message):
    if not condition:
        raise Failed(message)


class Bundle:
    """Forged from `model` into `folder`, run by the two libraries."""

    def __init__(self, build, model, folder, backend, system, forge_flags):
        self.model, self.folder, self.backend, self.system = model, folder, backend, system
        self.bin = os.path.join(build, "bin")
        self.forged = json.loads(run([os.path.join(self.bin, "qhx"), "forge", model, "-o", folder, "--qnn-lib", backend,
                                      "--system-lib", system, "--name", "demo", "--quiet", "--json", *forge_flags]))

    def manifest(self, picture):
        kind = "-vlm-" if picture else "-text-"
        names = [name for name in self.forged["manifests"] if kind in name]
        need(len(names) == 1, f"{self.folder}: expected one {kind} manifest, forge wrote {self.forged['manifests']}")
        return os.path.join(self.folder, os.path.basename(names[0]))

    def answer(self, prompt, picture, tokens):
        """qhx_generate's JSON, and its dump by name."""
        dump = f"{self.folder}-{'picture' if picture else 'text'}"
        command = [os.path.join(self.bin, "qhx_generate"), self.manifest(picture), self.backend, self.system,
                   self.folder, str(tokens), prompt, *([picture] if picture else []), "--json", "--dump", dump]
        # The vendor's library writes lines of its own to stdout.
        lines = [line for line in run(command).splitlines() if line.startswith("{")]
        need(len(lines) == 1, f"{' '.join(command)}: expected one JSON object, got {len(lines)}")
        return json.loads(lines[0]), load_dump(dump)

    def verify(self, prompt, picture, tokens):
        """The report of qhx verify, whatever its verdict."""
        text = run([os.path.join(self.bin, "qhx"), "verify", self.manifest(picture), "--against", self.model, "--lib",
                    self.backend, "--system", self.system, "--prompt", prompt, "--tokens", str(tokens), "--json",
                    *(["--image", picture] if picture else [])], codes=(0, 10))
        return json.loads(text[text.index("{\n"):])


def compare_answers(device, cpu):
    """"N equal", or where they part if fp16 cannot tell the two tokens apart there. (JSON, dump) of each."""
    (ours, our_dump), (theirs, their_dump) = device, cpu
    for name in ("input_ids", "position_ids"):
        need(name in our_dump and np.array_equal(our_dump[name], their_dump[name]), f"{name} are not the CPU's")
    a, b = ours["ids"], theirs["ids"]
    need(len(b) >= 3 and theirs["text"].strip(), f"the CPU bundle answers {theirs['text']!r}: nothing to compare with")
    if a == b:
        need(ours["text"] == theirs["text"], f"equal ids, but {ours['text']!r} instead of {theirs['text']!r}")
        return f"{len(a)} equal"
    step = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    need(step < min(len(a), len(b)), f"answers of {len(a)} and {len(b)} tokens, the one begins the other")
    logits = their_dump[f"logits_{step:03}"].astype(np.float64)
    gap, noise = float(logits[b[step]] - logits[a[step]]), BLUR * float(np.abs(logits).max())
    words = f"token {step}: {a[step]} instead of {b[step]}, gap {gap:.4f}, fp16 noise {noise:.4f}"
    need(gap < noise, f"{words}: {ours['text']!r} instead of {theirs['text']!r}")
    return words


def least_cosine(judge, stages, at_least):
    """The smallest cosine of `stages`, which have to be there and to have been compared."""
    rows = {row["stage"]: row for row in judge["stages"]}
    for stage in stages:
        need(stage in rows and rows[stage]["compared"] > 0, f"against {judge['name']}: no {stage} was compared")
        cosine = rows[stage]["cosine"]
        need(cosine is not None and cosine >= at_least,
             f"against {judge['name']}: {stage}: cosine {cosine} is below {at_least}")
    return min(rows[stage]["cosine"] for stage in stages)
