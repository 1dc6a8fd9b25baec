#!/usr/bin/env python3
"""Runner (see task.py) of MNN's LLM runtime. Task: model (folder), image, threads.

Times are MNN's own. It stops at an end-of-text token, which random weights seldom give.
"""
import os
import time

import MNN.llm as llm

import task

t = task.read()
task.read_into_cache(t["model"])


def config(**more):
    return dict(backend_type="cpu", thread_num=t["threads"], precision="low", memory="low", max_new_tokens=task.STEPS,
                sampler_type="greedy", **more)


start = time.time()
model = llm.create(os.path.join(t["model"], "config.json"))
model.set_config(config(reuse_kv=False))
model.load()
load_s = time.time() - start
picture = f'<img><hw>512, 512</hw>{t["image"]}</img>'


def ask(prompt):
    """Seconds of vision and prefill, prompt tokens, decoded tokens a second."""
    model.response(prompt, False)
    data = model.context._data
    vision, prefill, decode = (data.get(key, 0) / 1e6 for key in ("vision_us", "prefill_us", "decode_us"))
    return vision, prefill, data.get("prompt_len", 0), data.get("gen_seq_len", 0) / decode if decode else None


for _ in range(2):
    model.reset()
    vision_s, prefill_s, _, _ = ask(picture + task.FIRST)
    model.reset()
    _, text_s, tokens, decode_tps = ask(task.WORDS * (task.PREFILL // 15))
figures = dict(load_s=load_s, vision_s=vision_s, ttft_s=vision_s + prefill_s, prefill_tps=tokens / text_s,
               decode_tps=decode_tps, peak_mb=task.status_mb("VmHWM"))
# The conversation goes on: what was said stays in the cache.
model.reset()
model.set_config(config(reuse_kv=True))
ask(picture + task.FIRST)
_, prefill_s, _, _ = ask(task.SECOND)
figures |= dict(second_ttft_s=prefill_s)  # vision_us is still that of the picture
task.tell(**{key: value for key, value in figures.items() if value})
