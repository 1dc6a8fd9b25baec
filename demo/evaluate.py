#!/usr/bin/env python3
"""Scores our binary on fresh scenes, skill by skill, as eval.py scores transformers.

  evaluate.py --build build --weights w8 --scenes 110 --size 512 [--out w8.json]
  evaluate.py --build build --weights f16 --scenes 40 --against-hf    # compare each answer with transformers' text
  evaluate.py --build build --weights f16 --samples                   # the sample pictures, against samples.json
  evaluate.py --build build --weights w8 --chats                      # the turns without a picture
  evaluate.py --build build --weights w8 --forge='--kv int8'          # with the KV cache in int8
  evaluate.py --reference eval.json --score w8.json --points 1        # fail if a skill fell by more than a point

Needs numpy and pillow; --against-hf also torch and transformers. Questions run in parallel, one thread each.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import random
import re
import sys
import tempfile

import qhx


def scene_questions(count, size, folder):
    """(skill, question, true answer, picture file) of `count` scenes never trained on."""
    import eval as hf_eval
    import scenes
    for i in range(count):
        scene = scenes.sample(hf_eval.FIRST["eval"] + i)
        path = os.path.join(folder, f"{i}.png")
        scenes.render(scene, size).save(path)
        for skill, question, answer in hf_eval.questions(scene, random.Random(i)):
            yield skill, question, answer, path


def sample_questions():
    """As above, with transformers' own answer in place of the true one."""
    with open(os.path.join(qhx.HERE, "samples", "samples.json"), encoding="utf-8") as f:
        for sample in json.load(f):
            for q in sample["questions"]:
                yield q["skill"], q["question"], q["model"], os.path.join(qhx.HERE, "samples", sample["file"])


def chat_questions():
    import scenes
    for question, answer in scenes.chats():
        yield "chat", question, answer, None


def hf_answers(rows):
    import eval as hf_eval
    from PIL import Image
    proc, model = hf_eval.load(qhx.MODEL)
    return [hf_eval.ask(proc, model, Image.open(path).convert("RGB") if path else None, question)
            for _, question, _, path in rows]


def table(rows, answers):
    groups = collections.defaultdict(list)
    for (skill, *_), right in zip(rows, answers):
        groups[skill].append(right)
    return {skill: dict(n=len(v), exact=round(sum(v) / len(v), 4)) for skill, v in sorted(groups.items())}


def compare(reference, score, points, size):
    """Skills of `score` that fell by more than `points` hundredths below `reference`, eval.py's or an earlier score."""
    with open(reference, encoding="utf-8") as f:
        reference = json.load(f)
    reference = reference.get(str(size), reference)
    with open(score, encoding="utf-8") as f:
        score = json.load(f)
    fallen = {skill: (reference[skill]["exact"], row["exact"]) for skill, row in score.items()
              if skill in reference and row["exact"] < reference[skill]["exact"] - points / 100 - 1e-9}
    for skill, row in score.items():
        print(f"{skill:16} {reference.get(skill, {}).get('exact', float('nan')):.3f} -> {row['exact']:.3f}")
    return fallen


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--weights", default="w8", choices=["f16", "w8", "w4", "auto"])
    p.add_argument("--forge", default="", help="more options of qhx forge, like --forge='--rounding nearest'")
    p.add_argument("--scenes", type=int, default=110)
    p.add_argument("--size", type=int, default=512)
    p.add_argument("--samples", action="store_true")
    p.add_argument("--chats", action="store_true")
    p.add_argument("--against-hf", action="store_true")
    p.add_argument("--min-agreement", type=float, default=0.99)
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("--out")
    p.add_argument("--reference")
    p.add_argument("--score")
    p.add_argument("--points", type=float, default=1.0)
    a = p.parse_args()
    if a.score:
        fallen = compare(a.reference, a.score, a.points, a.size)
        sys.exit(f"fell by more than {a.points} points: {fallen}" if fallen else 0)

    folder = "-".join(["demo-bundle", a.weights, str(a.size), *re.findall(r"[\w.]+", a.forge)])
    bundle = qhx.Bundle(a.build, os.path.join(a.build, folder), threads=1)
    bundle.forge(a.weights, a.size, more=a.forge.split())
    with tempfile.TemporaryDirectory() as folder:
        rows = list(sample_questions() if a.samples else chat_questions() if a.chats
                    else scene_questions(a.scenes, a.size, folder))
        with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
            ours = list(pool.map(lambda row: bundle.ask(row[1], row[3])["text"], rows))
        wanted = hf_answers(rows) if a.against_hf else [answer for _, _, answer, _ in rows]
    right = [got == want for got, want in zip(ours, wanted)]
    for (skill, question, *_), got, want, ok in zip(rows, ours, wanted, right):
        if not ok and (a.against_hf or a.samples):
            print(f"differs: {skill}: {question}\n  ours:         {got}\n  transformers: {want}")
    result = table(rows, right)
    print(json.dumps(result, indent=1))
    print(f"{sum(right)} of {len(right)}")
    if a.out:
        with open(a.out, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
            f.write("\n")
    if (a.against_hf or a.samples) and sum(right) < a.min_agreement * len(right):
        sys.exit(f"agreement {sum(right) / len(right):.4f} with transformers is below {a.min_agreement}")


if __name__ == "__main__":
    main()
