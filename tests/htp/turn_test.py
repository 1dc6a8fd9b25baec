#!/usr/bin/env python3
"""What emulation.py lets pass and what not, on made-up answers and reports. Needs numpy."""
import copy
import unittest

import numpy as np

from emulation import FULL, SMALL, judge_report
from turn import Failed, compare_answers

IDS = np.arange(5, dtype=np.int32)


def answer(ids, logits=(), text="It is red."):
    dump = {"input_ids": IDS, "position_ids": np.tile(IDS, (3, 1))}
    return {"ids": list(ids), "text": text}, dump | {f"logits_{k:03}": np.array(row) for k, row in enumerate(logits)}


class Answers(unittest.TestCase):
    def test_equal_answers_pass(self):
        self.assertEqual(compare_answers(answer([7, 8, 9]), answer([7, 8, 9])), "3 equal")

    def test_a_difference_passes_only_below_the_noise(self):
        cpu = lambda gap: answer([0, 0, 0], [[10, 0, 0], [10, 10 - gap, 0], [10, 0, 0]])
        self.assertIn("token 1: 1 instead of 0, gap 0.0100", compare_answers(answer([0, 1, 2]), cpu(0.01)))
        with self.assertRaisesRegex(Failed, "gap 0.1000, fp16 noise 0.0200"):
            compare_answers(answer([0, 1, 2]), cpu(0.1))

    def test_nothing_to_compare_is_a_failure(self):
        for device, cpu in [(answer([]), answer([])), (answer([7, 8]), answer([7, 8])),
                            (answer([7, 8, 9], text=" "), answer([7, 8, 9], text=" ")),
                            (answer([7, 8]), answer([7, 8, 9])), (answer([]), answer([7, 8, 9]))]:
            with self.assertRaises(Failed):
                compare_answers(device, cpu)

    def test_the_prompts_have_to_be_the_same(self):
        other = answer([7, 8, 9])
        other[1]["input_ids"] = IDS + 1
        with self.assertRaisesRegex(Failed, "input_ids"):
            compare_answers(other, answer([7, 8, 9]))


def row(stage, cosine):
    return {"stage": stage, "compared": 4, "cosine": cosine, "ok": True}


def report():
    names = ["vision_in", "image_embeds", "deepstack_0", "hidden_prefill", "logits_000", "logits_001", "logits_002"]
    stages = [row(name, 0.99995) for name in names]
    judge = {"name": "fp32 weights", "greedy_steps": 3, "greedy_equal": 3, "greedy_within_blur": 0, "stages": stages}
    return {"library": "libQnnHtp.so v2 (emulation)", "ok": True, "judges": [judge]}


class Reports(unittest.TestCase):
    def refuse(self, words, change, weights="f16"):
        changed = copy.deepcopy(report())
        change(changed)
        with self.assertRaisesRegex(Failed, words):
            judge_report(changed, weights, True, 1)

    def test_a_good_report_passes(self):
        line, = judge_report(report(), "f16", True, 1)
        self.assertEqual(" ".join(line.split()), "against fp32 weights vision 0.9999500 text 0.9999500 "
                                                 "tokens 3 of 3 equal, 0 within blur")

    def test_cosines_are_held_to_the_limits(self):
        for k in range(7):
            for cosine in (0.99985, None):
                self.refuse("is below 0.9999", lambda r, k=k, c=cosine: r["judges"][0]["stages"][k].update(cosine=c))

    def test_missing_parts_are_failures(self):
        for k in range(7):
            self.refuse("was compared", lambda r, k=k: r["judges"][0]["stages"].pop(k))
            self.refuse("was compared", lambda r, k=k: r["judges"][0]["stages"][k].update(compared=0))
        self.refuse("0 tokens", lambda r: r["judges"][0].update(greedy_steps=0))
        self.refuse("expected the judges", lambda r: r["judges"].clear())
        self.refuse("expected the judges", lambda r: None, weights="w8")
        self.refuse("no emulation", lambda r: r.update(library="libQhxCpu.so"))
        self.refuse("qhx verify", lambda r: r.update(ok=False))


class Cases(unittest.TestCase):
    def test_every_published_preset_is_there_with_both_weights(self):
        self.assertEqual({(case.preset, case.weights) for case in FULL},
                         {(p, w) for p in ("v79-vlm-512", "v81-vlm-512", "v81-text", "v75-vlm-512", "v73-vlm-512")
                          for w in ("f16", "w8")})
        self.assertFalse([case for case in FULL if case.geometry])
        self.assertTrue([case for case in SMALL if case.turns == (False,)])


if __name__ == "__main__":
    unittest.main()
