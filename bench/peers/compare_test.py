#!/usr/bin/env python3
"""compare.py: a run with scripted runtimes, and what the tables make of records. Standard library only."""
import json
import sys
import tempfile
import unittest
from pathlib import Path

import compare


def record(name, weights, others=0.0, **figures):
    return dict(runtime=name, weights=weights, others=others, exit=0, figures=figures)


def rows(text):
    return {cells[0]: cells[1:] for line in text.splitlines() if line.startswith("| ")
            for cells in [[c.strip() for c in line.strip("|").split("|")]]}


class Tables(unittest.TestCase):
    def test_ratios_are_of_medians_against_the_best_peer_of_the_same_width(self):
        text = compare.report(
            [record("qhexrt w8", "w8", decode_tps=v, load_s=0.5) for v in (10, 30, 20)]
            + [record("A", "w8", decode_tps=16, load_s=4), record("B", "w8", decode_tps=12, load_s=2)]
            + [record("C", "w4", decode_tps=100, load_s=1)], ["D (no file)"])
        table = rows(text)
        self.assertEqual(table["qhexrt w8"][5], "20 (10–30)")
        self.assertEqual(table["64 tokens after them, W8"], ["20 tok/s", "16 tok/s (A)", "1.25×"])
        self.assertEqual(table["load (ours: to the first token)"], ["0.5 s", "1 s (C)", "2.00×"])
        self.assertEqual(table["64 tokens after them, 4-bit"], ["-", "-", "missing"])
        self.assertIn("missing: D (no file)", text)

    def test_disturbed_runs_count_only_where_there_are_no_others(self):
        text = compare.report([record("A", "w8", decode_tps=10), record("A", "w8", 0.9, decode_tps=1),
                               record("B", "w8", 0.5, decode_tps=2)], [])
        self.assertEqual((rows(text)["A"][5], rows(text)["B"][5]), ("10", "2"))
        self.assertIn("worth nothing, others used more than 0.15 cores in every run: B", text)
        self.assertIn("2 of 3 runs", text)

    def test_the_second_question_is_compared_with_the_first(self):
        self.assertIn("50× faster", compare.report([record("qhexrt w8", "w8", ttft_s=5.0, second_ttft_s=0.1)], []))


class Runs(unittest.TestCase):
    def run_script(self, script):
        with tempfile.TemporaryDirectory() as folder:
            runner = Path(folder) / "run.py"
            runner.write_text(script)
            return compare.Runtime("R", "w8", runner, sys.executable, [runner], threads=2).run(Path(folder) / "log")

    def test_figures_are_the_last_line(self):
        got = self.run_script("import json, sys\nprint('talk')\nprint(json.dumps({'decode_tps': json.loads(sys.argv[1])['threads']}))")
        self.assertEqual((got["figures"], got["exit"]), ({"decode_tps": 2}, 0))
        self.assertGreater(got["wall_s"], 0)
        self.assertGreaterEqual(got["others"], 0)

    def test_a_failure_has_none(self):
        for script in ("raise SystemExit(3)", "print('no figures')", ""):
            self.assertEqual(self.run_script(script)["figures"], {})
        text = compare.report([dict(self.run_script("raise SystemExit(3)"))], [])
        self.assertIn("failed: R: exit 3", text)

    def test_what_is_not_prepared_is_missing(self):
        runtime = compare.Runtime("R", "w8", "run.py", sys.executable, ["/nowhere/model"])
        self.assertEqual(runtime.missing(), ["/nowhere/model"])


if __name__ == "__main__":
    unittest.main()
