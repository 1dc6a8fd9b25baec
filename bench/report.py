#!/usr/bin/env python3
"""One report of what this machine can do, what the kernels and a bundle do on it, and the share that they reach.

    bench/report.py BUNDLE [--build build] [--kernels REGEX] [--json FILE]

Markdown on stdout. Runs machine_limits, kernels_bench (if built) and qhx bench of the build folder, one after the other; some ten minutes for
a 2B model. Nothing else should run meanwhile. Standard library only.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path


def run(*command):
    print(f"{Path(command[0]).name} …", file=sys.stderr, flush=True)
    return json.loads(subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE).stdout)


def table(head, rows):
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows]) + "\n"


def percent(share):
    return f"{100 * share:.0f} %"


def limits_text(limits):
    counts = sorted({row["threads"] for row in limits})
    names = list(dict.fromkeys(row["name"] for row in limits))
    best = {(row["name"], row["threads"]): row for row in limits}

    def cell(name, threads):
        row = best[name, threads]
        return "-" if row["best"] is None else f'{row["best"]:.1f} {row["unit"]}'

    return table(["best of", *(f"{n} thread{'s' * (n > 1)}" for n in counts)],
                 [[name, *(cell(name, n) for n in counts)] for name in names])


def kernels_text(kernels):
    rows = []
    for k in kernels:
        rates = [f"{k[key] / 1e9:.1f} G{key}" for key in ("FLOP/s", "bytes/s") if key in k]
        shares = [f"{percent(k[key])} {what}" for key, what in (("of_peak", "of the peak"), ("of_memory", "of memory")) if key in k]
        rows.append([k["name"], f'{k["cpu_time"] / 1e6:.3f}', ", ".join(rates), ", ".join(shares)])
    return table(["kernel / target, one thread", "ms", "rate", "share"], rows)


def weights_of(bundle, role):
    """Bytes of a context binary, and how many weights they are."""
    manifest = json.loads(next(bundle.glob("*-text-*.json")).read_text())
    size = (bundle / manifest["artifacts"]["contexts"][role]["bin"]).stat().st_size
    forge = json.loads((bundle / "forge.json").read_text())
    # Of "auto", which mixes formats, the average.
    each = {"f16": 2, "w8": 1, "w4": 4.5 / 8}.get(forge["options"]["weights"]) or forge["rounding"]["bits_per_weight"] / 8
    return size, size / each


def bundle_text(bundle, report, limits):
    """Rates, and the share of what memory or multiplication would allow with all threads."""
    threads = min(report["threads"], max(row["threads"] for row in limits))
    best = {row["name"]: row["best"] for row in limits if row["threads"] == threads and row["best"] is not None}
    peak = {what: max((v for name, v in best.items() if name.startswith(what + ",")), default=None) for what in ("f32", "int8")}
    read = {pages: best.get(f"memory read, {pages} pages") for pages in ("4 KiB", "2 MiB")}
    text_bytes, text_weights = weights_of(bundle, "llm")
    head_bytes, _ = weights_of(bundle, "lmhead")
    rows = []
    for row in report["decode"]:
        rate = row["tokens_per_s"]["median"]
        shares = [f"{percent(rate * (text_bytes + head_bytes) / 1e9 / bandwidth)} of memory, {pages} pages"
                  for pages, bandwidth in read.items() if bandwidth]
        rows.append([f'decode after {row["fill"]}', f"{rate:.2f} tok/s", ", ".join(shares), row["others"]])
    for row in report["prefill"]:
        rate = row["tokens_per_s"]["median"]
        shares = [f"{percent(rate * 2 * text_weights / 1e9 / p)} of the {what} peak" for what, p in peak.items() if p]
        rows.append([f'prefill of {row["tokens"]}', f"{rate:.1f} tok/s", ", ".join(shares), row["others"]])
    if turn := report["turn"]:
        rows += [[name, f'{turn[key]["median"]:.0f} ms', "", turn["others"]] for name, key in (
            ("vision", "vision_ms"), ("TTFT of a turn", "ttft_ms"), ("second question", "second_ttft_ms"))]
    for load in report["load"]:
        rows.append([f'load to first token, {load["cache"]}', f'{load["first_token_ms"]["median"]:.0f} ms', "", load["others"]])
    rows = [[*row[:3], "-" if row[3] is None else f"{row[3]:.2f}"] for row in rows]
    text = table([f'{report["bundle"]["manifest"]}, {threads} threads, kernels {report["library"]["kernel_target"]}', "median",
                  "share of the machine", "others"], rows)
    text += f'\nMemory: {report["memory"]["peak_bytes"] / 1e6:.0f} MB at most, bundle {report["bundle"]["bytes"] / 1e6:.0f} MB.\n'
    stages = table(["stage of a turn", "share", "ms"], [[s["stage"], percent(s["share"]), f'{s["ms"]:.0f}'] for s in report["stages"]])
    ops = table(["stage", "operation", "share of the stage"],
                [[o["stage"], o["op"], percent(o["share"])] for o in report["ops"] or [] if o["share"] >= 0.01])
    return f"{text}\n{stages}\n{ops}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a bundle's folder")
    parser.add_argument("--build", type=Path, default=Path(__file__).resolve().parents[1] / "build")
    parser.add_argument("--kernels", default="", help="only kernels whose name matches; default: the best target's")
    parser.add_argument("--json", type=Path, help="write all figures there, too")
    a = parser.parse_args()
    bin_ = a.build / "bin"
    figures = {"limits": run(bin_ / "machine_limits", "--json")}
    figures["bundle"] = run(bin_ / "qhx", "bench", "--json", a.bundle)
    limits, report = figures["limits"]["limits"], figures["bundle"]
    text = f'# {figures["limits"]["machine"]["cpu"]}, {figures["limits"]["machine"]["usable_cpus"]} CPUs, {figures["limits"]["made"]}\n\n'
    text += f"## Limits\n\n{limits_text(limits)}\n## Bundle\n\n{bundle_text(a.bundle, report, limits)}"
    if (bin_ / "kernels_bench").exists():
        wanted = a.kernels or f'/{report["library"]["kernel_target"]}$'
        figures["kernels"] = run(bin_ / "kernels_bench", f"--benchmark_filter={wanted}", "--benchmark_min_time=0.2",
                                 "--benchmark_format=json")
        text += f'\n## Kernels\n\n{kernels_text(figures["kernels"]["benchmarks"])}'
    if a.json:
        a.json.write_text(json.dumps(figures, indent=1))
    print(text)


if __name__ == "__main__":
    main()
