#!/usr/bin/env python3
"""Instructions that the linear kernels of AArch64 execute, on a machine that is none.

    bench/instructions/count.py [--build build-arm64] [--targets scalar,neon,neondot]

A kernel runs once and three times under qemu-user with a plugin that counts; half the difference is one run. The table has instructions for a
thousand multiplications, which can be compared between kernels of one target and between targets of one width; they are no times. Needs the
arm64 build with -DQHX_BUILD_BENCH=ON, qemu-user and gcc. Standard library only.
"""
import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
N = 256  # channels: work is the same for each of them
SHAPES = {"decode (1 row)": (1, 2048), "4 rows": (4, 2048), "prefill (320 rows)": (320, 2048)}
FORMS = [("f16", 0), ("i8", 0), ("i8", 1), ("i8", 2), ("i4_g32", 0), ("i4_g32", 2)]
NAMES = {0: "f32", 1: "int8", 2: "int16"}


def instructions(qemu, plugin, program, *arguments):
    """None if the target is not there."""
    result = subprocess.run([*qemu, "-plugin", plugin, "-d", "plugin", program, *map(str, arguments)], stderr=subprocess.PIPE, text=True)
    if result.returncode == 3:
        return None
    found = re.search(r"^instructions (\d+)$", result.stderr, re.M)
    if result.returncode != 0 or not found:
        sys.exit(f"{program}: {result.stderr}")
    return int(found.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=HERE.parents[1] / "build-arm64")
    parser.add_argument("--targets", default="scalar,neon,neondot")
    parser.add_argument("--qemu", default="qemu-aarch64 -L /usr/aarch64-linux-gnu", help="with its options")
    a = parser.parse_args()
    program = a.build / "bin" / "run_kernel"
    if not program.exists():
        parser.error(f"no {program}: build it with -DQHX_BUILD_BENCH=ON")
    with tempfile.TemporaryDirectory() as folder:
        plugin = str(Path(folder) / "libcount_instructions.so")
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", plugin, HERE / "count_instructions.c"], check=True)
        print("| weights, activations | " + " | ".join(f"{target}, {shape}" for target in a.targets.split(",") for shape in SHAPES) + " |")
        print("|---" * (1 + len(a.targets.split(",")) * len(SHAPES)) + "|")
        for form, levels in FORMS:
            row = []
            for target in a.targets.split(","):
                for m, k in SHAPES.values():
                    counts = [instructions(a.qemu.split(), plugin, program, target, form, levels, m, k, N, times) for times in (1, 3)]
                    row.append("-" if None in counts else f"{1000 * (counts[1] - counts[0]) / 2 / (m * k * N):.0f}")
            print(f"| {form}, {NAMES[levels]} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
