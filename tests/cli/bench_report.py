#!/usr/bin/env python3
"""qhx bench: what it measures of the demo bundle, and what it refuses. Structure and plausibility, never speeds.

Standard library only.
"""
import json
import os
import re
import subprocess
import sys

from errors import CORRUPT, INVALID, NOT_FOUND, UNSUPPORTED, Driver, run_parts
from loading import Faults

QUICK = ["--repetitions", "2", "--warm-up", "0", "--prefill", "8,40", "--fill", "4,32", "--steps", "3"]


class Bench(Driver):
    def __init__(self, build, demo, work):
        super().__init__(build, demo, work)
        self.demo = demo

    def bench(self, *args, **settings):
        return subprocess.run([self.program.parent / "qhx", "bench", *args], capture_output=True, timeout=120,
                              env={**os.environ, **settings})

    def json(self, *args, **settings):
        result = self.bench("--json", *args, **settings)
        return result, json.loads(result.stdout) if result.stdout else {}

    def check(self, what, result, code, conditions=(), words=()):
        """Exit code, the words in the one line of stderr that an error is, and conditions that must hold."""
        lines = result.stderr.decode().splitlines()
        problems = [f"exit {result.returncode}, expected {code}"] if result.returncode != code else []
        if len(lines) != (code != 0) or any(not line.startswith("qhx: error: ") for line in lines) or code and result.stdout:
            problems.append(f"stderr {lines}")
        problems += [f'no "{word}"' for word in words if word not in result.stderr.decode()]
        problems += [f"condition {i}" for i, holds in enumerate(conditions) if not holds]
        self.report(what, problems, result)


def are_samples(samples, count):
    values = samples["values"]
    return (len(values) == count and all(v > 0 for v in values) and samples["min"] == min(values)
            and samples["max"] == max(values) and samples["min"] <= samples["median"] <= samples["max"])


def are_shares(rows):
    return all(0 <= row["share"] <= 1 for row in rows) and abs(sum(row["share"] for row in rows) - 1) < 0.01


def whole_bundle(d: Bench):
    result, r = d.json(*QUICK, "--threads", "1", d.bundle)
    names = ("load", "turn", "prefill", "decode", "memory", "stages", "ops")
    if result.returncode != 0 or any(name not in r for name in names):
        return d.check("the demo bundle", result, 0, [False])
    cold, warm = r["load"]
    artifacts = json.loads((d.bundle / d.manifest).read_text())["artifacts"]
    files = [*artifacts["files"], *(context["bin"] for context in artifacts["contexts"].values())]
    size = sum((d.bundle / f).stat().st_size for f in files)
    d.check("machine, library and bundle", result, 0, [
        r["machine"]["cpu"], r["machine"]["usable_cpus"] >= 1, r["threads"] == 1,
        r["library"]["file"] == "libQhxCpu.so", r["library"]["provider"] == "QHX_CPU", not r["library"]["emulation"],
        re.fullmatch("[a-z0-9]+", r["library"]["kernel_target"]), r["bundle"]["manifest"] == d.manifest,
        r["bundle"]["bytes"] == size, r["bundle"]["context"] == 2048, r["notes"] == []])
    d.check("loads", result, 0, [
        (cold["cache"], warm["cache"]) == ("cold", "warm"), warm["cached_bytes"] >= size >= r["bundle"]["bytes"],
        *(are_samples(load[key], n) for load, n in ((cold, 1), (warm, 2)) for key in ("load_ms", "first_token_ms")),
        all(t > l for load in r["load"] for l, t in zip(load["load_ms"]["values"], load["first_token_ms"]["values"]))])
    turn = r["turn"]
    d.check("a picture turn", result, 0, [
        turn["picture"], turn["prompt_tokens"] > 256, 256 < turn["second_reused_tokens"] < turn["prompt_tokens"],
        *(are_samples(turn[f"{key}_ms"], 2) for key in ("image", "vision", "prefill", "ttft", "second_ttft")),
        all(sum(parts) <= ttft for *parts, ttft in zip(*(turn[f"{key}_ms"]["values"] for key in (
            "image", "vision", "prefill", "ttft")))),
        turn["second_ttft_ms"]["max"] < turn["ttft_ms"]["min"]])
    d.check("rates", result, 0, [
        [p["tokens"] for p in r["prefill"]] == [8, 40], [p["fill"] for p in r["decode"]] == [4, 32], r["decode_steps"] == 3,
        all(are_samples(row[key], 2) for row in r["prefill"] + r["decode"] for key in ("ms", "tokens_per_s")),
        all(abs(row["ms"]["min"] * row["tokens_per_s"]["max"] / 1000 - row.get("tokens", 3)) < 1e-6
            for row in r["prefill"] + r["decode"]),
        all(row["others"] is None or row["others"] >= 0 for row in r["prefill"] + r["decode"] + r["load"] + [turn])])
    runs = {stage["stage"]: stage["runs"] for stage in r["stages"]}
    by_stage = {stage: [op for op in r["ops"] if op["stage"] == stage] for stage in runs if stage != "host"}
    d.check("shares", result, 0, [
        are_shares(r["stages"]), runs["vision"] == 1, runs["prefill"] >= 1, 1 <= runs["decode"] <= 3,
        runs["lmhead"] == runs["decode"] + 1, runs["host"] == 1, all(are_shares(ops) for ops in by_stage.values()),
        {"qhx.Linear", "qhx.Attention"} <= {op["op"] for op in by_stage["vision"]},
        by_stage["lmhead"] == [{"stage": "lmhead", "op": "qhx.Linear", "nodes": runs["lmhead"], "share": 1.0}]])
    d.check("memory", result, 0, [0 < r["memory"]["loaded_bytes"] <= r["memory"]["peak_bytes"]])


def choices(d: Bench):
    text = d.bundle / d.text_manifest
    result, r = d.json(*QUICK, "--warm-only", "--no-shares", text, QHX_CPU_TARGET="scalar")
    d.check("text only, warm only, no shares, a forced target", result, 0, [
        [load["cache"] for load in r["load"]] == ["warm"], not r["turn"]["picture"], r["stages"] == [], r["ops"] is None,
        r["library"]["kernel_target"] == "scalar"])
    result = d.bench(*QUICK, "-q", "--image", d.picture, d.bundle)
    out = result.stdout.decode()
    d.check("as text", result, 0, [word in out for word in (
        d.manifest, "kernels ", "load, cold", "load to first token, warm", "picture turn, TTFT", "same picture",
        "prefill of 40", "decode after 32", "at most", "one turn with its answer", "operations within each stage")])


def another_library(d: Bench):
    """One that makes no profiles, with a bundle of its own."""
    folder = d.work / "other"
    folder.mkdir()
    fake = Faults(d.program.parent.parent, d.demo, folder)
    result, r = d.json(*QUICK, "--lib", fake.library, "--system", fake.library, fake.bundle)
    d.check("another library", result, 0, [
        r["library"]["provider"] == "FAKE_HTP", r["library"]["kernel_target"] is None, r["ops"] is None,
        not r["turn"]["picture"], {s["stage"] for s in r["stages"]} == {"decode", "lmhead", "host"}, are_shares(r["stages"])])


def refusals(d: Bench):
    d.check("no such bundle", d.bench(d.work / "gone"), NOT_FOUND, [], ["gone"])
    d.check("no path", d.bench(), INVALID)
    d.check("an unknown option", d.bench("--bogus", d.bundle), INVALID)
    d.check("no number", d.bench("--prefill", "many", d.bundle), INVALID, [], ["--prefill"])
    d.check("no tokens", d.bench("--prefill", "0", d.bundle), INVALID, [], ["--prefill"])
    d.check("a prompt beyond the context", d.bench("--prefill", "9,2048", d.bundle), INVALID, [], ["--prefill 2048", "context"])
    d.check("a fill beyond the context", d.bench("--fill", "2040", d.bundle), INVALID, [], ["--fill 2040", "context"])
    d.check("a picture for a text manifest", d.bench("--image", d.picture, d.bundle / d.text_manifest), UNSUPPORTED, [],
            ["--image"])
    d.check("no picture", d.bench("--image", d.bundle / "tokenizer.json", d.bundle), CORRUPT, [], ["tokenizer.json"])
    d.check("no QNN library", d.bench("--lib", "libm.so.6", "--system", d.library, d.bundle), UNSUPPORTED, [], ["libm.so.6"])
    d.check("no library", d.bench("--lib", d.work / "libNone.so", "--system", d.library, d.bundle), NOT_FOUND, [],
            ["libNone.so"])
    folder = d.copy()
    name = "llm_shared_512.bin"
    data = bytearray((folder / name).read_bytes())
    d.replace(folder, name, bytes(data[:-1]))
    d.check("a cut file", d.bench(folder), CORRUPT, [], [name])
    helped = d.bench("--help")
    d.check("help", helped, 0, [word in helped.stdout.decode() for word in ("--prefill", "--lib", "others", "Exit codes")])


if __name__ == "__main__":
    sys.exit(run_parts(__doc__, Bench, (whole_bundle, choices, another_library, refusals)))
