#!/usr/bin/env python3
"""Runner (see task.py) of Hugging Face transformers in fp32 on PyTorch. Task: hf, image, threads."""
import json
import os
import time

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, Qwen2VLImageProcessor
from transformers import PreTrainedTokenizerFast

import task

t = task.read()
torch.set_num_threads(t["threads"])
torch.set_grad_enabled(False)
task.read_into_cache(t["hf"])

start = time.time()
model = AutoModelForImageTextToText.from_pretrained(t["hf"], dtype=torch.float32).eval()
load_s = time.time() - start
tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(t["hf"], "tokenizer.json"))
with open(os.path.join(t["hf"], "preprocessor_config.json")) as f:
    options = json.load(f)
processor = Qwen2VLImageProcessor(
    **{key: options[key] for key in ("image_mean", "image_std", "patch_size", "merge_size", "temporal_patch_size")},
    size=options["size"])
picture = Image.open(t["image"]).convert("RGB")


def ids_of(words, tokens):
    turn = f"<|im_start|>user\n<|vision_start|>{'<|image_pad|>' * tokens}<|vision_end|>{words}<|im_end|>\n<|im_start|>assistant\n"
    return torch.tensor([tokenizer.encode(turn, add_special_tokens=False)])


def ask(words):
    """Seconds of the vision encoder alone, and to the first token."""
    start = time.time()
    inputs = processor(images=[picture], return_tensors="pt")
    grid = inputs["image_grid_thw"]
    ids = ids_of(words, int(grid.prod()) // options["merge_size"] ** 2)
    image = model.config.image_token_id
    out = model(input_ids=ids, pixel_values=inputs["pixel_values"], image_grid_thw=grid,
                mm_token_type_ids=(ids == image).int(), use_cache=True, logits_to_keep=1)
    int(out.logits[0, -1].argmax())
    ttft = time.time() - start
    start = time.time()
    model.model.get_image_features(inputs["pixel_values"], grid)
    return time.time() - start, ttft


def text():
    """Tokens a second of the prompt and of the answer."""
    rng = np.random.default_rng(1)
    ids = torch.tensor(rng.integers(0, min(1000, model.config.text_config.vocab_size), (1, task.PREFILL)))
    start = time.time()
    out = model(input_ids=ids, use_cache=True, logits_to_keep=1)
    token = out.logits[:, -1:].argmax(-1)
    prefill = task.PREFILL / (time.time() - start)
    steps = task.STEPS // 4  # half a second each
    start = time.time()
    for _ in range(steps):
        out = model(input_ids=token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
        token = out.logits[:, -1:].argmax(-1)
    return prefill, steps / (time.time() - start)


for _ in range(2):
    vision_s, ttft_s = ask(task.FIRST)
    prefill_tps, decode_tps = text()
task.tell(load_s=load_s, vision_s=vision_s, ttft_s=ttft_s, prefill_tps=prefill_tps, decode_tps=decode_tps,
          peak_mb=task.status_mb("VmHWM"))
