#!/usr/bin/env python3
"""qhx verify: what it proves of small random models, what it refuses, and how it says so. Standard library only.

With --htp, the same of a bundle for a device under the vendor's libraries in $QHX_HTP_LIB_DIR; exit code 77 without them.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from errors import CORRUPT, INVALID, NOT_FOUND, OUT_OF_RANGE, UNSUPPORTED, edit, run_parts

NOT_VERIFIED = 10
SKIPPED = 77
VISION = ["vision_in", "image_embeds", "deepstack_0", "deepstack_1"]
SMALL = ["--image", "64", "--ctx", "128", "--prefill", "16"]


class Verifier:
    """Checkpoints `a` and `b` of the same shape and different weights, and bundles of them."""

    def __init__(self, build: Path, demo: Path, work: Path):
        self.programs, self.demo, self.work = build / "bin", demo, work
        self.failures, self.count = [], 0
        self.a, self.b = (self.checkpoint(name, seed) for name, seed in (("a", 1), ("b", 2)))

    def call(self, *command, code=0, **settings):
        result = subprocess.run([self.programs / command[0], *command[1:]], capture_output=True, text=True, timeout=120,
                                **settings)
        if code is not None and result.returncode != code:
            sys.exit(f"{' '.join(map(str, command))}: exit {result.returncode}, {result.stderr}")
        return result

    def checkpoint(self, name, seed):
        folder = self.work / name
        self.call("make_random_checkpoint", folder, "--preset", "tiny", "--tokenizer", self.demo / "model", "--seed", str(seed))
        return folder

    def forge(self, name, checkpoint, *options):
        folder = self.work / name
        self.call("qhx", "forge", checkpoint, "-o", folder, "-q", *SMALL, *options)
        return folder

    def copy(self, bundle):
        folder = Path(tempfile.mkdtemp(dir=self.work)) / "bundle"
        shutil.copytree(bundle, folder)
        return folder

    def verify(self, *args):
        return self.call("qhx", "verify", *args, code=None)

    def json(self, *args):
        result = self.verify("--json", *args)
        return result, json.loads(result.stdout) if result.stdout else None

    def check(self, what, result, code, conditions=(), words=()):
        """Exit code, the words in the one line of stderr that an error is, and conditions that must hold."""
        self.count += 1
        lines = result.stderr.splitlines()
        error = code not in (0, NOT_VERIFIED)
        problems = [f"exit {result.returncode}, expected {code}"] if result.returncode != code else []
        if len(lines) != error or any(not line.startswith("qhx: error: ") for line in lines) or error and result.stdout:
            problems.append(f"stderr {lines}, stdout {result.stdout[:80]!r}")
        problems += [f'no "{word}"' for word in words if word not in result.stderr]
        problems += [f"condition {i}" for i, holds in enumerate(conditions) if not holds]
        if problems:
            self.failures.append(what)
            print(f"FAIL {what}: {'; '.join(problems)}\n{result.stdout[-3000:]}")


def failed(judge):
    return [stage["stage"] for stage in judge["stages"] if not stage["ok"]]


def judge_is_whole(judge, vision, steps, least):
    """Every stage in the order run, with figures that were really computed."""
    text = [name for i in range(steps) for name in ("hidden_prefill" if i == 0 else f"hidden_{i:03}", f"logits_{i:03}")]
    stages = judge["stages"]
    return ([s["stage"] for s in stages] == vision + text and judge["greedy_steps"] == steps
            and all(s["compared"] == s["values"] > 0 and -1 <= s["cosine"] <= 1.000001 and s["max_error"] >= 0 for s in stages)
            and all(s["threshold"] == least for s in stages)
            and all(("gap" in s) == s["stage"].startswith("logits_") for s in stages))


def proofs(v: Verifier):
    """Each kind of bundle against its checkpoint, then from what that wrote, on the same figures."""
    kinds = {"f16": (["--weights", "f16"], VISION, ["fp32 weights"], 0.99999),
             "w8": (["--weights", "w8"], VISION, ["the same w8 weights, dequantized", "fp32 weights"], 0.9999),
             "w4": (["--weights", "w4", "--keep-rounded"], VISION, ["the same w4 weights, dequantized", "fp32 weights"], 0.9999),
             "auto": (["--weights", "auto", "--budget", "6bits", "--keep-rounded"], VISION,
                      ["the same auto weights, dequantized", "fp32 weights"], 0.9999),
             "text": (["--weights", "f16", "--text-only"], [], ["fp32 weights"], 0.99999),
             "int8 cache": (["--weights", "f16", "--text-only", "--kv", "int8"], [], ["fp32 weights"], 0.9999)}
    for name, (options, vision, judges, least) in kinds.items():
        bundle = v.forge(name, v.a, *options)
        result, report = v.json(bundle, "--against", v.a, "--tokens", "3", "--write")
        steps = report["judges"][0]["greedy_steps"]
        v.check(f"{name} proved", result, 0, [
            report["ok"], report["written"], report["picture"] == bool(vision), 1 <= steps <= 3,
            [j["name"] for j in report["judges"]] == judges, all(j["ok"] for j in report["judges"]),
            judge_is_whole(report["judges"][0], vision, steps, least), "libQhxCpu.so" in report["library"],
            report["source"] == "judged by the reference", report["manifest"] in os.listdir(bundle),
            report["prompt_tokens"] > len(report["prompt"].split()), isinstance(report["answer"], str)])
        again, repeated = v.json(bundle)
        v.check(f"{name} repeated", again, 0, [
            "verified.json" in repeated["source"], not repeated["written"],
            *(repeated[key] == report[key] for key in ("manifest", "prompt", "prompt_tokens", "answer", "picture")),
            [j["name"] for j in repeated["judges"]] == judges,
            # Recorded as 16-bit floats: what that does to a cosine is a small part of its distance from 1.
            all(abs(x["cosine"] - y["cosine"]) < 1e-6 + 1e-3 * (1 - x["cosine"]) for i, j in zip(report["judges"], repeated["judges"])
                for x, y in zip(i["stages"], j["stages"]))])
        table = v.verify(bundle, "-q")
        rows = re.findall(r"^  (\w+) +\d+ +\d+ +[01]\.\d{8} ", table.stdout, re.M)
        v.check(f"{name} as text", table, 0, [
            rows == [s["stage"] for j in report["judges"] for s in j["stages"]], table.stdout.endswith("\nverified\n"),
            f"{steps} of {steps} equal" in table.stdout, not table.stderr])
    picture = v.demo / "samples/3.png"
    result, report = v.json(v.work / "f16", "--against", v.a, "--tokens", "2", "--image", picture, "--prompt", "What is it?")
    v.check("a picture and words of one's own", result, 0, [report["prompt"] == "What is it?", report["picture"]])
    bundle = v.forge("nearest", v.a, "--weights", "w4", "--rounding", "nearest")
    result, report = v.json(bundle, "--against", v.a, "--tokens", "2")
    v.check("4-bit weights rounded to the nearest", result, 0, [report["ok"]])
    shutil.copy(v.work / "w4/weights_w4.safetensors", bundle)
    result, report = v.json(bundle, "--against", v.a, "--tokens", "2")
    v.check("the 4-bit weights of another bundle", result, NOT_VERIFIED, ["hidden_prefill" in failed(report["judges"][0])])
    bundle = v.copy(v.work / "w4")
    (bundle / "weights_w4.safetensors").unlink()
    v.check("compensated weights that were not kept", v.verify(bundle, "--against", v.a), UNSUPPORTED, [],
            ["weights_w4.safetensors", "--keep-rounded"])
    v.check("what was recorded needs them no more", v.verify(bundle), 0)
    text, = (v.work / "w8").glob("*-text-*.json")
    result, report = v.json(text, "--against", v.a, "--tokens", "2")
    v.check("the text manifest of a bundle for pictures", result, 0, [report["manifest"] == text.name, not report["picture"]])


def failures(v: Verifier):
    """The check is made, and the bundle does not pass: exit code 10, which rows say why, nothing written."""
    f16, w8 = v.work / "f16", v.work / "w8"
    record = (f16 / "verified.json").read_bytes()
    result, report = v.json(f16, "--against", v.b, "--tokens", "2", "--write")
    bad = failed(report["judges"][0])
    v.check("other weights", result, NOT_VERIFIED, [
        not report["ok"], not report["written"], not report["judges"][0]["ok"], set(VISION) | {"logits_000"} <= set(bad),
        (f16 / "verified.json").read_bytes() == record, all("why" in s for s in report["judges"][0]["stages"] if not s["ok"])])
    table = v.verify(f16, "--against", v.b, "--tokens", "2", "-q")
    v.check("other weights as text", table, NOT_VERIFIED, [
        table.stdout.endswith("\nNOT verified\n"), "FAILED: cosine below the threshold" in table.stdout])
    result, report = v.json(w8, "--against", v.a, "--tokens", "2", "--weights", "f16")
    v.check("rounding to 8 bits is not within the thresholds of 16", result, NOT_VERIFIED,
            [report["judges"][0]["stages"][0]["ok"], "logits_000" in failed(report["judges"][0])])
    mixed, other = v.copy(f16), v.forge("f16_b", v.b, "--weights", "f16")
    head = "lmhead_wqo.bin"
    shutil.copy(other / head, mixed)
    for manifest in mixed.glob("*-64.json"):
        edit(manifest, lambda m: m["artifacts"]["contexts"]["lmhead"].update(record_of(mixed / head)))
        edit(manifest, lambda m: m["artifacts"].get("files", {}).pop(head, None))
    result, report = v.json(mixed, "--against", v.a, "--tokens", "2")
    bad = failed(report["judges"][0])
    v.check("the head of another checkpoint", result, NOT_VERIFIED,
            [bad and all(name.startswith("logits_") for name in bad), report["judges"][0]["greedy_equal"] < 2])
    result = v.verify(mixed)
    v.check("a record of another bundle", result, CORRUPT, [], ["verified.json", "written for another bundle", "--against"])
    # Judged by figures that somebody changed.
    forged = v.copy(f16)
    edit(forged / "verified.json", lambda m: m["judges"][0]["stages"][1].update(f16=m["judges"][0]["stages"][2]["f16"]))
    result, report = v.json(forged)
    v.check("recorded figures that are not met", result, NOT_VERIFIED, [failed(report["judges"][0]) == ["image_embeds"]])


def record_of(file):
    data = file.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def damage(v: Verifier):
    f16 = v.work / "f16"
    for file in sorted(f16.glob("*.bin")):
        bundle = v.copy(f16)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 16
        (bundle / file.name).write_bytes(data)
        for args in ([bundle], [bundle, "--against", v.a]):
            v.check(f"a flipped bit in {file.name}", v.verify(*args), CORRUPT, [], [file.name, "sha256"])
        (bundle / file.name).write_bytes(data[:-1])
        v.check(f"{file.name} cut", v.verify(bundle), CORRUPT, [], [file.name, "bytes"])
        (bundle / file.name).unlink()
        v.check(f"{file.name} missing", v.verify(bundle), NOT_FOUND, [], [file.name])
    bundle = v.copy(f16)
    text = (bundle / "verified.json").read_text()
    (bundle / "verified.json").write_text(text[:len(text) // 2])
    v.check("half a record", v.verify(bundle), CORRUPT, [], ["verified.json"])
    edit(bundle / "forge.json", lambda m: m["options"].pop("weights"))
    v.check("a record of the forge without the weights' format", v.verify(bundle, "--against", v.a), CORRUPT, [],
            ["forge.json", "options.weights"])
    (bundle / "verified.json").unlink()
    v.check("no record", v.verify(bundle), NOT_FOUND, [], ["verified.json", "--against", "--write"])
    (bundle / "forge.json").unlink()
    v.check("no record of the forge", v.verify(bundle, "--against", v.a), NOT_FOUND, [], ["forge.json", "--weights"])
    result, report = v.json(bundle, "--against", v.a, "--weights", "f16", "--tokens", "1")
    v.check("weights' format given instead", result, 0, [report["judges"][0]["greedy_steps"] == 1])


def options(v: Verifier):
    f16, text, against = v.work / "f16", v.work / "text", ["--against", v.a]
    refused = {
        "no path": ([], INVALID, []),
        "an unknown option": ([f16, "--bogus"], INVALID, ["--bogus"]),
        "a word for --tokens": ([f16, *against, "--tokens", "many"], INVALID, ["--tokens"]),
        "no tokens": ([f16, *against, "--tokens", "0"], INVALID, ["--tokens"]),
        "weights that there are not": ([f16, *against, "--weights", "w5"], INVALID, ["w5", "w8", "w4", "f16"]),
        "a number of threads below zero": ([f16, "--threads", "-1"], INVALID, ["--threads"]),
        "--prompt without a checkpoint": ([f16, "--prompt", "x"], INVALID, ["--prompt", "--against"]),
        "--write without a checkpoint": ([f16, "--write"], INVALID, ["--write", "--against"]),
        "no bundle": ([v.work / "gone"], NOT_FOUND, ["gone"]),
        "a folder without a manifest": ([v.demo / "samples", *against], NOT_FOUND, ["no manifest"]),
        "no checkpoint": ([f16, "--against", v.work / "gone"], NOT_FOUND, ["gone"]),
        "a checkpoint of another size": ([f16, "--against", v.demo / "model"], INVALID, ["--against", "hidden_size"]),
        "no library": ([f16, *against, "--lib", v.work / "gone.so"], NOT_FOUND, ["gone.so"]),
        "a library that is none": ([f16, *against, "--lib", "libm.so.6"], UNSUPPORTED, ["libm.so.6"]),
        "no picture": ([f16, *against, "--image", v.work / "gone.png"], NOT_FOUND, ["gone.png"]),
        "what is no picture": ([f16, *against, "--image", f16 / "forge.json"], CORRUPT, ["forge.json"]),
        "a picture for a text bundle": ([text, *against, "--image", v.demo / "samples/3.png"], UNSUPPORTED, ["text only"]),
        "more tokens than the context holds": ([text, *against, "--tokens", "120"], OUT_OF_RANGE, ["128", "--tokens"]),
    }
    for what, (args, code, words) in refused.items():
        v.check(what, v.verify(*args), code, [], words)
    v.check("--help", v.verify("--help"), 0)


def device(v: Verifier):
    """The graphs that a phone runs, in emulation."""
    libraries = {**os.environ, "QHX_QNN_DIR": os.environ["QHX_HTP_LIB_DIR"]}
    os.environ.update(libraries)
    bundle = v.forge("v79", v.a, "--target", "v79", "--weights", "f16", "--emulation-twin")
    result, report = v.json(bundle, "--against", v.a, "--tokens", "3", "--write")
    steps = report["judges"][0]["greedy_steps"]
    v.check("a device bundle proved", result, 0, [
        report["written"], judge_is_whole(report["judges"][0], VISION, steps, 0.9999), "libQnnHtp.so" in report["library"],
        "(emulation)" in report["library"]])
    result, report = v.json(bundle)
    v.check("a device bundle repeated", result, 0, [report["ok"]])
    result, report = v.json(bundle, "--against", v.b, "--tokens", "1")
    v.check("a device bundle of other weights", result, NOT_VERIFIED, ["image_embeds" in failed(report["judges"][0])])
    library = v.programs.parent / "lib/libQhxCpu.so"
    v.check("a device bundle on the CPU library", v.verify(bundle, "--lib", library, "--system", library), UNSUPPORTED, [],
            ["made for"])


if __name__ == "__main__":
    if "--htp" in sys.argv:
        sys.argv.remove("--htp")
        if not os.environ.get("QHX_HTP_LIB_DIR"):
            print("SKIPPED: QHX_HTP_LIB_DIR is not set: no vendor library to test with")
            sys.exit(SKIPPED)
        sys.exit(run_parts(__doc__, Verifier, (device,)))
    sys.exit(run_parts(__doc__, Verifier, (proofs, failures, damage, options)))
