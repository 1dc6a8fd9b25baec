#!/usr/bin/env python3
"""Runs this project and its peers in turns on the same model, prompt and picture, and prints medians and ratios.

    compare.py WORK [--rounds 3] [--threads 2] [--only qhexrt,llama] [--qhx build/bin/qhx] [--bundle DIR] [--bundle-w4 DIR]
    compare.py WORK --report results/2026-11-24T16-45.jsonl        the tables of an earlier run

WORK is what prepare.sh made. One round is each runtime once, in a process of its own; what is not prepared is reported
as missing. Each run records the CPU that other processes used meanwhile (`others`, in cores): one taken core makes peers that spin at
barriers several times slower, so disturbed runs count only where a runtime has no others. Before each run the script waits,
--max-wait seconds at most, until the machine is calm. Records go to WORK/results/TIME.jsonl. Standard library only.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from task import METRICS

HERE = Path(__file__).resolve().parent
CALM = 0.15  # cores that others may use during a run that counts
TICKS = os.sysconf("SC_CLK_TCK")


def machine_seconds():
    """CPU seconds used by everything since boot."""
    with open("/proc/stat") as f:
        values = [int(v) for v in f.readline().split()[1:9]]
    return (sum(values) - values[3] - values[4]) / TICKS


def wait_until_calm(most, limit=0.08):
    end = time.time() + most
    while True:
        busy, start = machine_seconds(), time.time()
        time.sleep(2)
        if (machine_seconds() - busy) / (time.time() - start) < limit or time.time() > end:
            return


class Runtime:
    """`weights`: what it is compared with. `needs`: files without which it is missing."""

    def __init__(self, name, weights, script, python, needs, **arguments):
        self.name, self.weights, self.script, self.python, self.needs = name, weights, script, python, [Path(n) for n in needs]
        self.arguments = arguments

    def missing(self):
        return [str(path) for path in [Path(self.python), *self.needs] if not path.exists()]

    def run(self, log):
        busy, start = machine_seconds(), time.time()
        with open(log, "ab") as errors:
            process = subprocess.Popen([self.python, HERE / self.script, json.dumps(self.arguments)], stdout=subprocess.PIPE,
                                       stderr=errors, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1"})
            with process.stdout:
                out = process.stdout.read().decode("utf-8", "replace")
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            errors.write(out.encode())
        wall, own = time.time() - start, usage.ru_utime + usage.ru_stime
        record = dict(runtime=self.name, weights=self.weights, wall_s=wall, cpu_s=own,
                      others=max(0.0, (machine_seconds() - busy - own) / wall), exit=process.returncode)
        try:
            record["figures"] = json.loads(out.strip().splitlines()[-1]) if process.returncode == 0 else {}
        except (ValueError, IndexError):
            record["figures"] = {}
        return record


def runtimes(a):
    work, image, threads = a.work, str(a.work / "picture.png"), a.threads
    common = dict(image=image, threads=threads)
    python = sys.executable
    llama = dict(bin=str(work / "llama/bin"), out=str(work / "results"), **common)
    llama_bin = work / "llama/bin/llama-server"
    gguf = work / "gguf"

    def ours(name, weights, bundle, activations=""):
        return Runtime(name, weights, "run_qhexrt.py", python, [a.qhx, bundle, image], qhx=str(a.qhx), bundle=str(bundle),
                       activations=activations, **common)

    def llama_with(name, weights, text, mmproj, **more):
        files = [gguf / f"text-{text}.gguf"] + ([gguf / f"mmproj-{mmproj}.gguf"] if mmproj else [])
        return Runtime(name, weights, "run_llama.py", python, [llama_bin, image, *files], model=str(files[0]),
                       mmproj=str(files[1]) if mmproj else None, **llama, **more)

    def other(name, weights, script, venv, model):
        return Runtime(name, weights, script, str(work / venv / "bin/python"), [image, model], model=str(model), **common)

    return [
        ours("qhexrt w8", "w8", a.bundle),
        # A byte for each activation, as OpenVINO has it unasked.
        ours("qhexrt w8, int8 activations", "w8", a.bundle, activations="int8"),
        ours("qhexrt w4", "w4", a.bundle_w4),
        llama_with("llama.cpp Q8_0", "w8", "Q8_0", "f16"),
        llama_with("llama.cpp Q8_0, vision Q8_0", "w8", "Q8_0", "q8_0", rates=False),
        llama_with("llama.cpp Q4_0", "w4", "Q4_0", None),
        llama_with("llama.cpp Q4_K_M", "w4", "Q4_K_M", None),
        other("MNN int8", "w8", "run_mnn.py", "mnn-run", work / "mnn-int8"),
        other("MNN int4", "w4", "run_mnn.py", "mnn-run", work / "mnn-int4"),
        other("OpenVINO int8", "w8", "run_openvino.py", "openvino-run", work / "openvino-int8"),
        other("OpenVINO int4", "w4", "run_openvino.py", "openvino-run", work / "openvino-int4"),
        Runtime("transformers fp32", "fp32", "run_transformers.py", str(a.torch_python), [a.hf, image], hf=str(a.hf), **common),
    ]


# ---- The report ----

def number(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def cell(values):
    if not values:
        return "-"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}–{number(max(values))})"


def medians(records, weights, metric):
    """name: median, of the runtimes with these weights."""
    found = {}
    for record in records:
        if record["weights"] in weights and metric in record["figures"]:
            found.setdefault(record["runtime"], []).append(record["figures"][metric])
    return {name: statistics.median(values) for name, values in found.items()}


def ratio_row(records, metric, ours, weights, label):
    """Ours over the best peer, as a ratio of speed (or of memory: less is more)."""
    all_ = medians(records, weights, metric)
    peers = {name: value for name, value in all_.items() if not name.startswith("qhexrt")}
    if ours not in all_ or not peers:
        return [label, "-", "-", "missing"]
    better = METRICS[metric][1]
    best = (max if better else min)(peers, key=peers.get)
    ratio = all_[ours] / peers[best] if better else peers[best] / all_[ours]
    unit = METRICS[metric][0]
    return [label, f"{number(all_[ours])} {unit}", f"{number(peers[best])} {unit} ({best})", f"{ratio:.2f}×"]


def table(head, rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]) + "\n"


def calm_ones(records):
    """Of each runtime the runs that nothing disturbed, or all if there are none; and whose are disturbed."""
    kept, busy = [], []
    for name in dict.fromkeys(r["runtime"] for r in records):
        mine = [r for r in records if r["runtime"] == name]
        calm = [r for r in mine if r["others"] <= CALM]
        kept += calm or mine
        busy += [] if calm else [name]
    return kept, busy


def report(records, missing):
    ran = len(records)
    records, busy = calm_ones(records)
    names = list(dict.fromkeys(r["runtime"] for r in records))
    of = {name: [r for r in records if r["runtime"] == name] for name in names}
    rows = []
    for name in names:
        values = [[r["figures"][m] for r in of[name] if m in r["figures"]] for m in METRICS]
        rows.append([name, *map(cell, values), cell([r["others"] for r in of[name]])])
    text = f"Medians (smallest–largest) of the {len(records)} of {ran} runs that count.\n\n"
    text += table(["runtime", *(f"{m.rsplit('_', 1)[0]}, {unit}" for m, (unit, _, _) in METRICS.items()), "others"], rows)
    failed = [f'{r["runtime"]}: exit {r["exit"]}' for r in records if not r["figures"]]
    text += "\n" + "".join(f"- failed: {line}\n" for line in failed) + "".join(f"- missing: {m}\n" for m in missing)
    if busy:
        text += f"- worth nothing, others used more than {CALM} cores in every run: {', '.join(busy)}\n"
    any_, w8 = ("w8", "w4", "fp32"), ("w8", "fp32")
    ratios = [
        ratio_row(records, "vision_s", "qhexrt w8", any_, METRICS["vision_s"][2]),
        ratio_row(records, "prefill_tps", "qhexrt w8", w8, METRICS["prefill_tps"][2] + ", W8"),
        ratio_row(records, "decode_tps", "qhexrt w8", w8, METRICS["decode_tps"][2] + ", W8"),
        ratio_row(records, "prefill_tps", "qhexrt w4", ("w4",), METRICS["prefill_tps"][2] + ", 4-bit"),
        ratio_row(records, "decode_tps", "qhexrt w4", ("w4",), METRICS["decode_tps"][2] + ", 4-bit"),
        ratio_row(records, "ttft_s", "qhexrt w8", w8, METRICS["ttft_s"][2]),
        ratio_row(records, "second_ttft_s", "qhexrt w8", w8, METRICS["second_ttft_s"][2]),
        ratio_row(records, "load_s", "qhexrt w8", any_, "load (ours: to the first token)"),
        ratio_row(records, "peak_mb", "qhexrt w8", w8, METRICS["peak_mb"][2] + ", W8, context 2048"),
    ]
    text += "\n" + table(["", "ours", "best peer", "ours / best peer"], ratios)
    first, second = (medians(records, w8, m).get("qhexrt w8") for m in ("ttft_s", "second_ttft_s"))
    if first and second:
        text += f"\nOur second question about a picture is {first / second:.0f}× faster than the first.\n"
    return text


def machine(a):
    with open("/proc/cpuinfo") as f:
        info = f.read()
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "unknown")
    return dict(machine=dict(cpu=model, cpus=os.cpu_count(), threads=a.threads, started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="", help="beginnings of names, separated by commas")
    parser.add_argument("--qhx", type=Path, default=HERE.parents[1] / "build/bin/qhx")
    parser.add_argument("--bundle", type=Path, help="default: WORK/bundle-w8")
    parser.add_argument("--bundle-w4", type=Path, help="default: WORK/bundle-w4")
    parser.add_argument("--hf", type=Path, help="default: WORK/hf")
    parser.add_argument("--torch-python", type=Path, default=HERE.parents[1] / "build/venv/bin/python", help="one that has transformers")
    parser.add_argument("--max-wait", type=float, default=120)
    parser.add_argument("--report", type=Path, help="print the tables of this file and run nothing")
    a = parser.parse_args()
    a.work = a.work.resolve()
    a.bundle, a.bundle_w4, a.hf = a.bundle or a.work / "bundle-w8", a.bundle_w4 or a.work / "bundle-w4", a.hf or a.work / "hf"
    if a.report:
        records = [json.loads(line) for line in a.report.read_text().splitlines()]
        print(report([r for r in records if "runtime" in r], []))
        return
    chosen = [r for r in runtimes(a) if not a.only or r.name.lower().startswith(tuple(a.only.lower().split(",")))]
    missing = {r.name: r.missing() for r in chosen}
    ready = [r for r in chosen if not missing[r.name]]
    results = a.work / "results"
    results.mkdir(exist_ok=True)
    file = results / time.strftime("%Y-%m-%dT%H-%M-%S.jsonl")
    records, this = [], machine(a)
    with open(file, "w") as out:
        out.write(json.dumps(this) + "\n")
        for round_ in range(a.rounds):
            for runtime in ready:
                wait_until_calm(a.max_wait)
                record = dict(round=round_, **runtime.run(results / "runs.log"))
                records.append(record)
                out.write(json.dumps(record) + "\n")
                out.flush()
                figures = "  ".join(f"{k}={number(v)}" for k, v in record["figures"].items() if isinstance(v, (int, float)))
                print(f'[{round_ + 1}/{a.rounds}] {runtime.name}: {figures or "FAILED, see " + str(results / "runs.log")}'
                      f'  others={record["others"]:.2f}', file=sys.stderr, flush=True)
    print(f"{this['machine']}\nrecords: {file}\n")
    print(report(records, [f"{name} ({', '.join(paths)})" for name, paths in missing.items() if paths]))


if __name__ == "__main__":
    main()
