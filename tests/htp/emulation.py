#!/usr/bin/env python3
"""The demo model's device bundles, run in the emulation of the vendor's x86 libraries.

  QHX_HTP_LIB_DIR=… emulation.py --build build           # small geometry
  QHX_HTP_LIB_DIR=… emulation.py --build build --full    # the presets as they are published, a sample picture

Each case is forged for a chip and for CPUs alike, in f16 and W8, and asked about a picture and without one. The
greedy answers have to be equal, or to part where two tokens are closer than fp16 can tell; `qhx verify` gives the
cosines against the reference, held here to the limits below. Exit code 77: no vendor library. Needs numpy,
safetensors and pillow.
"""
import argparse
import concurrent.futures
import dataclasses
import json
import os
import sys
import tempfile
import time

from turn import Bundle, Failed, compare_answers, least_cosine, need

DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "demo")
MODEL = os.path.join(DEMO, "model")
PICTURE = os.path.join(DEMO, "samples", "2.jpg")
START = time.monotonic()

# The judges of qhx verify, and the least cosine of (vision, text) against each; None: not held to one.
LIMITS = {"f16": {"fp32 weights": (0.9999, 0.9999)},
          "w8": {"the same w8 weights, dequantized": (0.9999, 0.9999), "fp32 weights": (0.999, None)}}


@dataclasses.dataclass(frozen=True)
class Case:
    preset: str
    weights: str
    geometry: tuple = ()  # flags of qhx forge that change the preset's
    outgrown: int = 0  # the context that the picture's prompt fits and its answer does not

    @property
    def turns(self):
        return (False,) if self.preset.endswith("-text") else (True, False)

    @property
    def title(self):
        return " ".join([self.preset, self.weights, *(word.removeprefix("--") for word in self.geometry)])


def both_weights(preset, geometry=()):
    return [Case(preset, weights, geometry) for weights in LIMITS]


FULL = [case for preset in ("v79-vlm-512", "v81-vlm-512", "v81-text", "v75-vlm-512", "v73-vlm-512")
        for case in both_weights(preset)]
# Prompts longer than a prefill call; answers that outgrow a context; prompts through decode.
SMALL = [*both_weights("v79-vlm-512", ("--image", "128", "--ctx", "128", "--prefill", "16")),
         Case("v79-vlm-512", "w8", ("--image", "128", "--ctx", "36,128", "--prefill", "16,64"), outgrown=36),
         *both_weights("v81-text", ("--ctx", "64")),
         Case("v75-vlm-512", "w8", ("--image", "128", "--ctx", "64", "--prefill", "32"))]


def log(words):
    print(f"[{time.monotonic() - START:5.0f} s] {words}", file=sys.stderr, flush=True)


def timed(words, action):
    start = time.monotonic()
    result = action()
    log(f"{words}: {time.monotonic() - start:.1f} s")
    return result


def judge_report(report, weights, picture, deepstack):
    """A line for each judge: the least cosine of vision and of text."""
    need("(emulation)" in report["library"], f"ran on {report['library']}, which is no emulation")
    judges = {judge["name"]: judge for judge in report["judges"]}
    need(set(judges) == set(LIMITS[weights]), f"expected the judges {list(LIMITS[weights])}, found {list(judges)}")
    lines = []
    for name, (vision, text) in LIMITS[weights].items():
        judge, steps = judges[name], judges[name]["greedy_steps"]
        need(steps >= 3, f"against {name}: {steps} tokens were compared")
        line = f"against {name:31}  "
        if picture:
            stages = ["vision_in", "image_embeds"] + [f"deepstack_{k}" for k in range(deepstack)]
            line += f"vision {least_cosine(judge, stages, vision):.7f}  "
        stages = ["hidden_prefill"] + [f"logits_{k:03}" for k in range(steps)]
        line += f"text {least_cosine(judge, stages, -1 if text is None else text):.7f}  "
        equal, within = judge["greedy_equal"], judge["greedy_within_blur"]
        lines.append(line + f"tokens {equal} of {steps} equal, {within} within blur")
    need(report["ok"], f"qhx verify: {[row for j in report['judges'] for row in j['stages'] if not row['ok']]}")
    return lines


class Emulation:
    def __init__(self, build, htp, work):
        self.build, self.htp, self.work = build, htp, work
        with open(os.path.join(MODEL, "config.json"), encoding="utf-8") as f:
            self.deepstack = len(json.load(f)["vision_config"]["deepstack_visual_indexes"])

    def forge(self, case):
        """The case's bundle for its chip and the same for CPUs."""
        folder = tempfile.mkdtemp(dir=self.work)
        flags = ["--preset", case.preset, "--weights", case.weights, *case.geometry]
        ours = os.path.join(self.build, "lib", "libQhxCpu.so")
        device = Bundle(self.build, MODEL, os.path.join(folder, "device"), os.path.join(self.htp, "libQnnHtp.so"),
                        os.path.join(self.htp, "libQnnSystem.so"), [*flags, "--emulation-twin"])
        return device, Bundle(self.build, MODEL, os.path.join(folder, "cpu"), ours, ours, [*flags, "--target", "cpu"])

    def turn(self, case, device, cpu, with_picture):
        picture, prompt = (PICTURE, "Describe this image.") if with_picture else (None, "What can you do?")
        title = f"{case.title}: {'picture' if with_picture else 'text'}"
        answers = timed(title, lambda: device.answer(prompt, picture, 24)), cpu.answer(prompt, picture, 24)
        said, metrics = answers[0][0]["text"], answers[0][0]["metrics"]
        need(metrics["vision_runs"] == int(with_picture) and metrics["decode_runs"] > 0, f"ran {metrics}")
        if with_picture and case.outgrown:
            prompt_tokens, rows = metrics["prompt_tokens"], metrics["prompt_tokens"] + metrics["generated_tokens"]
            need(prompt_tokens < case.outgrown < rows, f"{prompt_tokens} to {rows} rows do not outgrow {case.outgrown}")
        agreement = compare_answers(*answers)
        report = timed(f"{title} verified", lambda: device.verify(prompt, picture, len(answers[0][0]["ids"])))
        lines = judge_report(report, case.weights, with_picture, self.deepstack)
        lines.insert(0, f"against the CPU bundle: {agreement}")
        return f"{'picture' if with_picture else 'text'}: {said!r}" + "".join(f"\n    {line}" for line in lines)

    def rows(self, case):
        """The lines of the table, and what failed."""
        try:
            device, cpu = timed(f"{case.title} forged", lambda: self.forge(case))
        except Failed as error:
            return [], [f"{case.title}: {error}"]
        forged = device.forged
        lines, failures = [f"{case.title}: {forged['bytes'] / 1e6:.1f} MB, forged in {forged['seconds']:.1f} s, "
                           f"peak {forged['peak_resident_bytes'] / 1e6:.0f} MB"], []
        for with_picture in case.turns:
            try:
                lines.append("  " + self.turn(case, device, cpu, with_picture))
            except Failed as error:
                failures.append(f"{case.title}: {'picture' if with_picture else 'text'}: {error}")
        return lines, failures


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--full", action="store_true", help="the presets at their published geometry: takes a while")
    p.add_argument("--jobs", type=int, default=1, help="cases at a time; each keeps about one core busy")
    a = p.parse_args()
    htp = os.environ.get("QHX_HTP_LIB_DIR")
    if not htp:
        print("SKIPPED: QHX_HTP_LIB_DIR is not set: no vendor library to test with")
        sys.exit(77)
    cases = FULL if a.full else SMALL
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
        results = list(pool.map(Emulation(os.path.abspath(a.build), htp, work).rows, cases))
    lines = [line for case_lines, _ in results for line in case_lines]
    failures = [failure for _, case_failures in results for failure in case_failures]
    print("\n".join(lines + [f"FAILED {failure}" for failure in failures]))
    wanted = sum(1 + len(case.turns) for case in cases)
    if len(lines) != wanted and not failures:
        failures.append(f"{len(lines)} of {wanted} lines")
    print(f"{'FAILED' if failures else 'passed'}: {len(cases)} bundles, {sum(len(c.turns) for c in cases)} turns, "
          f"{time.monotonic() - START:.0f} s")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
