#!/usr/bin/env python3
"""qhx_generate --cache: the same answers as without, sooner, from one process to the next and with several at once.

Forges the demo model into a temporary folder and asks all questions of its samples. Standard library only.
"""
import json
import os
import stat
import subprocess
import sys

from errors import INVALID, Driver, run_parts

SAMPLES = ("1.jpg", "4.png", "8.png")


class Asker(Driver):
    def __init__(self, build, demo, work):
        super().__init__(build, demo, work)
        self.build = build
        self.forge("ladder")  # with short prefill calls, which a question alone goes through
        samples = {s["file"]: s for s in json.loads((demo / "samples/samples.json").read_text())}
        self.questions = [(str(demo / "samples" / file), q["question"]) for file in SAMPLES
                          for q in samples[file]["questions"]]
        self.cache = work / "cache"
        self.truth = {q: self.ask(q) for q in self.questions}

    def forge(self, name, *options):
        self.bundle = self.work / name
        subprocess.run([self.build / "bin/qhx", "forge", self.checkpoint, "--target", "cpu", "-o", self.bundle, *options],
                       check=True, capture_output=True)

    def command(self, question, *flags):
        image, text = question
        return [self.program, *self.args(n="32", prompt=text, image=image, flags=("--json", *flags))]

    def ask(self, question, *flags):
        return json.loads(subprocess.run(self.command(question, *flags), check=True, capture_output=True, timeout=120).stdout)

    def check(self, what, problems):
        self.count += 1
        if problems:
            self.failures.append(what)
            print(f"FAIL {what}: {'; '.join(problems)}")


def compare(d, question, answer, seen):
    problems = []
    if answer["ids"] != d.truth[question]["ids"]:
        problems.append(f"says {answer['text']!r}, without cache {d.truth[question]['text']!r}")
    m = answer["metrics"]
    if seen and (m["vision_runs"] != 0 or m["cached_tokens"] < 256 or m["prefill_runs"] > 2):
        problems.append(f"ran what was known: {m}")
    if not seen and (m["vision_runs"] != 1 or m["cached_tokens"] != 0):
        problems.append(f"took what cannot be known: {m}")
    d.check(f"{os.path.basename(question[0])}: {question[1]}", problems)


def one_process_after_the_other(d):
    seen = set()
    for question in d.questions:
        compare(d, question, d.ask(question, "--cache", str(d.cache)), question[0] in seen)
        seen.add(question[0])
    modes = {stat.S_IMODE(f.stat().st_mode) for f in d.cache.iterdir()}
    d.check("modes", [] if modes == {0o600} and stat.S_IMODE(d.cache.stat().st_mode) == 0o700 else [f"{modes}"])
    d.check("two files a picture", [] if len(list(d.cache.iterdir())) == 2 * len(SAMPLES) else ["another number"])


def several_at_once(d):
    folder = d.work / "shared"
    for question in d.questions[:4]:
        both = [subprocess.Popen(d.command(question, "--cache", str(folder)), stdout=subprocess.PIPE) for _ in range(2)]
        answers = [json.loads(p.communicate(timeout=120)[0]) for p in both]
        d.check(f"twice at once: {question[1]}",
                [a["text"] for a in answers if a["ids"] != d.truth[question]["ids"]])
    d.check("no temporary file is left", [f.name for f in folder.iterdir() if f.suffix != ".qhxcache"])


def a_cache_of_integers(d):
    """A bundle with --kv int8: its rows and their scales are kept and found, and speculation says the same."""
    before = d.bundle, d.truth
    d.forge("int8", "--kv", "int8")
    folder = str(d.work / "int8-cache")
    questions = d.questions[:6]
    d.truth = {q: d.ask(q) for q in questions}
    seen = set()
    for question in questions:
        compare(d, question, d.ask(question, "--cache", folder), question[0] in seen)
        seen.add(question[0])
        guessed = d.ask(question, "--speculate", "4")
        d.check(f"speculation: {question[1]}", [] if guessed["ids"] == d.truth[question]["ids"] else [guessed["text"]])
    d.bundle, d.truth = before


def damage_and_bounds(d):
    question = d.questions[0]
    for file in d.cache.iterdir():
        os.truncate(file, file.stat().st_size - 7)
    compare(d, question, d.ask(question, "--cache", str(d.cache)), False)
    compare(d, d.questions[1], d.ask(d.questions[1], "--cache", str(d.cache)), True)
    small = d.work / "small"
    for q in d.questions:
        d.ask(q, "--cache", str(small), "--cache-size", "2")
    size = sum(f.stat().st_size for f in small.iterdir())
    d.check("2 MB are the bound", [] if 1_000_000 < size <= 2_000_000 else [f"{size} bytes"])
    open_to_all = d.work / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    d.fails("a folder others may write to", INVALID, d.args(flags=("--cache", str(open_to_all))), ("chmod 700",))
    d.fails("a size without a folder", INVALID, d.args(flags=("--cache-size", "5")), ("--cache",))


if __name__ == "__main__":
    sys.exit(run_parts(__doc__, Asker, (one_process_after_the_other, several_at_once, a_cache_of_integers, damage_and_bounds)))
