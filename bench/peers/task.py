"""What every runtime is asked to do, and how a runner tells the result. Standard library only.

A runner is a program: `run_NAME.py TASK_JSON`. It loads its model once, does everything once to warm up and once for the
figures, and prints one JSON object as its last line, with the keys of METRICS that it can tell.
"""
import json
import os
import sys

FIRST = "Describe this picture in detail."
SECOND = "Which colour is in the middle of it?"
WORDS = "The quick brown fox jumps over the lazy dog near the old stone bridge. "
PREFILL = 320  # tokens of a text prompt
STEPS = 64  # tokens decoded after it

# name: (unit, whether more is better, what)
METRICS = {
    "load_s": ("s", False, "load, files in the page cache"),
    "vision_s": ("s", False, "vision encoder on a 512x512 picture"),
    "ttft_s": ("s", False, "picture and question to the first token"),
    "second_ttft_s": ("s", False, "second question about the same picture"),
    "prefill_tps": ("tok/s", True, f"prefill of {PREFILL} text tokens"),
    "decode_tps": ("tok/s", True, f"{STEPS} tokens after them"),
    "peak_mb": ("MB", False, "peak resident memory"),
}


def read():
    return json.loads(sys.argv[1])


def tell(**figures):
    unknown = set(figures) - set(METRICS) - {"note"}
    assert not unknown, unknown
    print("\n" + json.dumps(figures), flush=True)


def status_mb(key, pid="self"):
    """A kB field of /proc/PID/status in MB: VmHWM is the most resident memory so far."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) / 1e3 for line in f if line.startswith(key + ":"))


def read_into_cache(*paths):
    for path in paths:
        names = [os.path.join(path, n) for n in os.listdir(path)] if os.path.isdir(path) else [path]
        for name in filter(os.path.isfile, names):
            with open(name, "rb", buffering=0) as f:
                while f.read(1 << 24):
                    pass
