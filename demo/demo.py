#!/usr/bin/env python3
"""`make demo`: forges the demo model to a CPU bundle and asks about the sample pictures, or about your own.

  demo.py --build build                                     every sample picture, every question
  demo.py --build build --image photo.jpg --prompt "..."    your own picture
"""
import argparse
import json
import os
import statistics
import sys
import time

import qhx

SAMPLES = os.path.join(qhx.HERE, "samples")


def speeds(metrics):
    return (f"vision {metrics['vision_ms']:.0f} ms, first token {metrics['ttft_ms']:.0f} ms, "
            f"prefill {metrics['prefill_tokens_per_s']:.0f} tok/s, decode {metrics['decode_tokens_per_s']:.0f} tok/s")


def ask_own(bundle, image, prompt):
    answer = bundle.ask(prompt, image)
    print(answer["text"])
    print(f"({speeds(answer['metrics'])})", file=sys.stderr)


def ask_samples(bundle):
    with open(os.path.join(SAMPLES, "samples.json"), encoding="utf-8") as f:
        samples = json.load(f)
    right, runs = [], []
    for sample in samples:
        print(f"\ndemo/samples/{sample['file']}")
        for q in sample["questions"]:
            answer = bundle.ask(q["question"], os.path.join(SAMPLES, sample["file"]))
            runs.append(answer["metrics"])
            right.append(answer["text"] == q["answer"])
            print(f"  {q['question']}\n    {'ok   ' if right[-1] else 'WRONG'} {answer['text']}"
                  + ("" if right[-1] else f"\n    true: {q['answer']}"), flush=True)
    middle = {key: statistics.median(run[key] for run in runs)
              for key in ("vision_ms", "ttft_ms", "prefill_tokens_per_s", "decode_tokens_per_s")}
    print(f"\n{sum(right)} of {len(right)} answers are exactly the true one. Medians: {speeds(middle)}.")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build", help="build folder (default: build)")
    p.add_argument("--image", help="a picture of your own instead of the samples")
    p.add_argument("--prompt", default="Describe this image.")
    a = p.parse_args()
    began = time.monotonic()
    bundle = qhx.Bundle(a.build, os.path.join(a.build, "demo-bundle-w8"))
    bundle.forge()
    print(f"bundle ready after {time.monotonic() - began:.1f} s", file=sys.stderr)
    if a.image:
        ask_own(bundle, a.image, a.prompt)
    else:
        ask_samples(bundle)


if __name__ == "__main__":
    main()
