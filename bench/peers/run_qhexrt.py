#!/usr/bin/env python3
"""Runner (see task.py) of this project: `qhx bench`. Task: qhx, bundle, image, threads, activations
(QHX_CPU_ACTIVATIONS; empty: as it is)."""
import json
import os
import subprocess

import task

t = task.read()
if t["activations"]:
    os.environ["QHX_CPU_ACTIVATIONS"] = t["activations"]
report = json.loads(subprocess.run(
    [t["qhx"], "bench", t["bundle"], "--json", "--warm-only", "--no-shares", "--repetitions", "1", "--warm-up", "1",
     "--prefill", str(task.PREFILL), "--fill", str(task.PREFILL), "--steps", str(task.STEPS), "--image", t["image"],
     "--threads", str(t["threads"])], check=True, stdout=subprocess.PIPE).stdout)
turn = report["turn"]
# Not the load alone: weights are read when first used, so it would say nothing.
task.tell(load_s=report["load"][0]["first_token_ms"]["min"] / 1e3, vision_s=turn["vision_ms"]["min"] / 1e3,
          ttft_s=turn["ttft_ms"]["min"] / 1e3, second_ttft_s=turn["second_ttft_ms"]["min"] / 1e3,
          prefill_tps=report["prefill"][0]["tokens_per_s"]["max"], decode_tps=report["decode"][0]["tokens_per_s"]["max"],
          peak_mb=report["memory"]["peak_bytes"] / 1e6, note=f'kernels {report["library"]["kernel_target"]}')
