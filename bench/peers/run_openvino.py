#!/usr/bin/env python3
"""Runner (see task.py) of OpenVINO GenAI. Task: model (folder), image, threads."""
import time

import numpy as np
import openvino as ov
import openvino_genai as genai
from PIL import Image

import task

t = task.read()
task.read_into_cache(t["model"])
start = time.time()
# Without the prefix cache, or a repeated prompt would measure it.
scheduler = genai.SchedulerConfig()
scheduler.enable_prefix_caching = False
pipe = genai.VLMPipeline(t["model"], "CPU", INFERENCE_NUM_THREADS=t["threads"], scheduler_config=scheduler)
load_s = time.time() - start
picture = ov.Tensor(np.array(Image.open(t["image"]).convert("RGB"))[None])


def ask(words, steps, picture=None):
    config = genai.GenerationConfig()
    config.max_new_tokens, config.ignore_eos, config.do_sample = steps, True, False
    config.apply_chat_template = False  # a random checkpoint may come without one
    more = dict(images=[picture]) if picture is not None else {}
    return pipe.generate(words, generation_config=config, **more).perf_metrics


for _ in range(2):
    turn = ask(task.FIRST, 2, picture)
    text = ask(task.WORDS * (task.PREFILL // 15), task.STEPS)
peak_mb = task.status_mb("VmHWM")
# No second question: chats are not supported with a scheduler, and without one prompts cannot be kept out of its cache.
text_s = (text.get_ttft().mean - text.get_prepare_embeddings_duration().mean) / 1e3
task.tell(load_s=load_s, vision_s=turn.get_prepare_embeddings_duration().mean / 1e3, ttft_s=turn.get_ttft().mean / 1e3,
          prefill_tps=text.get_num_input_tokens() / text_s,
          decode_tps=1e3 / text.get_tpot().mean, peak_mb=peak_mb)
