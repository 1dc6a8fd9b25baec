#!/usr/bin/env python3
"""How time and memory grow with the length of a text: prefill of 128 to 4096 tokens, and decode after as many.

    bench/growth.py BUNDLE [--build build] [--lengths 128,256,…] [--json FILE] [--svg FILE]

Markdown on stdout. Each length is a process of its own (`qhx bench` of the bundle's text manifest), so that its peak memory is its own. Beside
each time stands the arithmetic: multiplications of the linears, which are the same for each token, and of attention, which grow with the tokens
before it. Where time grows like that sum or slower, nothing else grows. --svg needs matplotlib. Nothing else should run meanwhile.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path

from report import table, weights_of

REPETITIONS, STEPS = 2, 8


def measure(qhx, manifest, length):
    print(f"{length} tokens …", file=sys.stderr, flush=True)
    report = json.loads(subprocess.run(
        [str(qhx), "bench", str(manifest), "--json", "--warm-only", "--no-shares", "--prefill", str(length), "--fill", str(length),
         "--steps", str(STEPS), "--repetitions", str(REPETITIONS)], check=True, stdout=subprocess.PIPE).stdout)
    prefill, decode = report["prefill"][0], report["decode"][0]
    return {"tokens": length, "prefill_s": {k: v / 1e3 for k, v in prefill["ms"].items() if k != "values"},
            "decode_ms": {k: 1e3 / v for k, v in decode["tokens_per_s"].items() if k != "values"},
            "peak_mb": report["memory"]["peak_bytes"] / 1e6, "others": max(prefill["others"], decode["others"]),
            "machine": report["machine"]["cpu"], "threads": report["threads"], "kernels": report["library"]["kernel_target"]}


def arithmetic(manifest, bundle, length):
    """Multiplications of a prefill of that many tokens: of linears and of attention (scores and weighted values, half the square)."""
    p = manifest["params"]
    _, linears = weights_of(bundle, "llm")
    return linears * length, 2 * p["n_layers"] * p["n_heads"] * p["head_dim"] * length * (length + 1) / 2


def draw(figures, to):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "growth"
    from matplotlib import pyplot
    plot, axes = pyplot.subplots(1, 3, figsize=(12, 3.6), constrained_layout=True)
    x = [f["tokens"] for f in figures]
    first = figures[0]
    scale = first["prefill_s"]["median"] / sum(first["products"])
    axes[0].loglog(x, [f["prefill_s"]["median"] for f in figures], "o-", base=2, label="measured")
    axes[0].loglog(x, [scale * sum(f["products"]) for f in figures], "--", base=2, label="as the arithmetic")
    axes[0].set(title="prefill, s", xlabel="tokens")
    axes[1].plot(x, [f["decode_ms"]["median"] for f in figures], "o-")
    axes[1].set(title="one token of decode, ms", xlabel="tokens before it", ylim=(0, None))
    axes[2].plot(x, [f["peak_mb"] for f in figures], "o-")
    axes[2].set(title="peak memory, MB", xlabel="tokens", ylim=(0, None))
    axes[0].legend()
    for a in axes:
        a.grid(True, alpha=0.3)
    plot.savefig(to, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a bundle's folder")
    parser.add_argument("--build", type=Path, default=Path(__file__).resolve().parents[1] / "build")
    parser.add_argument("--lengths", default="128,256,512,1024,2048,4096", help="those that leave room for the decoded tokens are measured")
    parser.add_argument("--json", type=Path, help="write all figures there, too")
    parser.add_argument("--svg", type=Path, help="draw them there")
    a = parser.parse_args()
    path = next(a.bundle.glob("*-text-*.json"))
    manifest = json.loads(path.read_text())
    lengths = [n for n in map(int, a.lengths.split(",")) if n + STEPS <= manifest["params"]["max_ctx"]]
    if not lengths:
        parser.error(f'none of the lengths fits into the bundle\'s context of {manifest["params"]["max_ctx"]}')
    figures = [measure(a.build / "bin" / "qhx", path, n) for n in lengths]
    for f in figures:
        f["products"] = arithmetic(manifest, a.bundle, f["tokens"])
    if a.json:
        a.json.write_text(json.dumps(figures, indent=1))
    if a.svg:
        draw(figures, a.svg)
    first = figures[0]
    rows = []
    for f in figures:
        time, products = (f["prefill_s"]["median"] / first["prefill_s"]["median"], sum(f["products"]) / sum(first["products"]))
        rows.append([f["tokens"], f'{f["prefill_s"]["median"]:.2f}', f"{time:.1f}", f"{products:.1f}",
                     f'{f["decode_ms"]["median"]:.1f}', f'{f["peak_mb"]:.0f}', f'{f["others"]:.2f}'])
    print(f'{first["machine"]}, {first["threads"]} threads, kernels {first["kernels"]}, {path.name}, medians of {REPETITIONS}\n')
    print(table(["tokens", "prefill, s", "times the first", "arithmetic, times the first", "decode after them, ms", "peak MB", "others"], rows))


if __name__ == "__main__":
    main()
