#!/usr/bin/env python3
"""qhx_generate on bad input: the documented exit code, one line on stderr, nothing on stdout, nothing written.

Forges the demo model into a temporary folder and breaks one thing at a time. Standard library only.
"""
import argparse
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

INVALID, NOT_FOUND, IO, CORRUPT, UNSUPPORTED, OUT_OF_RANGE = 2, 3, 4, 5, 6, 7
ANY_ERROR = set(range(1, 10))
QUESTION = "Describe this image."


class Driver:
    def __init__(self, build: Path, demo: Path, work: Path):
        self.program = build / "bin/qhx_generate"
        self.library = str(build / "lib/libQhxCpu.so")
        self.picture = str(demo / "samples/1.jpg")
        self.work = work
        self.checkpoint = demo / "model"
        self.bundle = work / "bundle"
        subprocess.run([build / "bin/qhx", "forge", self.checkpoint, "--target", "cpu", "--prefill", "320", "-o", self.bundle],
                       check=True, capture_output=True)
        self.manifest = next(self.bundle.glob("*-vlm-*.json")).name
        self.text_manifest = next(self.bundle.glob("*-text-*.json")).name
        self.failures = []
        self.count = 0

    def args(self, bundle=None, manifest=None, lib=None, system=None, n="4", prompt=QUESTION, image=None, flags=()):
        bundle = bundle or self.bundle
        image = self.picture if image is None else image
        return [str(bundle / (manifest or self.manifest)), lib or self.library, system or self.library, str(bundle), n,
                prompt, *([image] if image else []), *flags]

    def run(self, args):
        # Few address-space limits are as telling as a real small machine; a bomb must not get to allocate.
        return subprocess.run([self.program, *args], capture_output=True, timeout=120)

    def fails(self, what, codes, args, words=()):
        codes = {codes} if isinstance(codes, int) else set(codes)
        result = self.run(args)
        lines = result.stderr.decode("utf-8", "replace").splitlines()
        problems = []
        if result.returncode not in codes:
            problems.append(f"exit {result.returncode}, expected {sorted(codes)}")
        if len(lines) != 1 or not lines[0].startswith("qhx_generate: error: "):
            problems.append(f"{len(lines)} lines on stderr")
        if result.stdout:
            problems.append(f"stdout has {result.stdout[:60]!r}")
        problems += [f'no "{word}" in the message' for word in words if word not in "".join(lines)]
        self.report(what, problems, result)

    def report(self, what, problems, result):
        self.count += 1
        if problems:
            self.failures.append(what)
            print(f"FAIL {what}: {'; '.join(problems)}\n     {result.stderr.decode('utf-8', 'replace')[:400]}")

    def works(self, what, args):
        result = self.run(args)
        self.report(what, [] if result.returncode == 0 and result.stdout else [f"exit {result.returncode}"], result)
        return result.stdout

    def copy(self):
        folder = Path(tempfile.mkdtemp(dir=self.work))
        for file in self.bundle.iterdir():
            os.link(file, folder / file.name)
        return folder

    def replace(self, folder, name, data):
        os.unlink(folder / name)
        (folder / name).write_bytes(data)


def edit(manifest: Path, change):
    document = json.loads(manifest.read_text())
    change(document)
    os.unlink(manifest)
    manifest.write_text(json.dumps(document))


def forget_sums(document):
    """A manifest as published: nothing about sizes and checksums."""
    document["artifacts"].pop("files", None)
    for context in document["artifacts"]["contexts"].values():
        context.pop("bytes", None)
        context.pop("sha256", None)


def damaged_files(d: Driver):
    files = [f.name for f in d.bundle.iterdir() if f.suffix == ".bin" or f.name == "tokenizer.json"]
    rng = random.Random(7)
    expected = d.works("the whole bundle", d.args())
    for name in sorted(files):
        data = (d.bundle / name).read_bytes()
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 4
        for what, new in {"cut": data[:len(data) // 2], "empty": b"", "zeroed": bytes(len(data)),
                          "flipped": bytes(flipped), "longer": data + b"x"}.items():
            folder = d.copy()
            d.replace(folder, name, new)
            d.fails(f"{what} {name}", CORRUPT, d.args(folder))
            edit(folder / d.manifest, forget_sums)
            if what in ("cut", "empty", "zeroed") and not name.startswith("vis_p") and "embed" not in name:
                d.fails(f"{what} {name} without checksums", ANY_ERROR, d.args(folder))
            shutil.rmtree(folder)
        folder = d.copy()
        os.unlink(folder / name)
        d.fails(f"missing {name}", NOT_FOUND, d.args(folder), [name])
        os.mkdir(folder / name)
        d.fails(f"a folder instead of {name}", {NOT_FOUND, IO}, d.args(folder))
        shutil.rmtree(folder)
    # The binaries guard themselves, too: an error, or the flip hit padding and the answer is the same.
    for name in ("llm_shared_512.bin", "lmhead_wqo.bin", "vis_native_512.bin"):
        data = (d.bundle / name).read_bytes()
        folder = d.copy()
        edit(folder / d.manifest, forget_sums)
        for _ in range(12):
            at = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(4096)
            flipped = bytearray(data)
            flipped[at] ^= 1 << rng.randrange(8)
            d.replace(folder, name, bytes(flipped))
            result = d.run(d.args(folder))
            if not (result.returncode == 0 and result.stdout == expected):
                d.fails(f"bit {at} of {name} flipped, no checksums", ANY_ERROR, d.args(folder))
        shutil.rmtree(folder)


def contradicting_manifests(d: Driver):
    def params(key, value):
        return lambda m: m["params"].__setitem__(key, value)

    cases = [
        ("hidden", params("hidden", 64), CORRUPT, ["params.hidden"]),
        ("vocab", params("vocab", 99999), CORRUPT, ["vocab"]),
        ("n_layers", params("n_layers", 99), CORRUPT, ["params.n_layers"]),
        ("max_ctx", params("max_ctx", 77), CORRUPT, ["params.max_ctx"]),
        ("head_dim", lambda m: (params("head_dim", 4)(m), m["params"].pop("kv_dim"), m["params"].pop("mrope_section")),
         CORRUPT, ["head_dim"]),
        ("a word", params("hidden", "abc"), CORRUPT, ["params.hidden", '"abc"']),
        ("rope_theta gone", lambda m: m["params"].pop("rope_theta"), UNSUPPORTED, ["rope_theta"]),
        ("kv layout", lambda m: m["kv"].__setitem__("layout", "token_major"), CORRUPT, ["past_k_0"]),
        ("kv dtype", lambda m: m["kv"].__setitem__("dtype", "f32"), CORRUPT, ["kv.dtype"]),
        ("unknown decode graph", lambda m: m["plan"]["params"].__setitem__("decode", "nope"), CORRUPT, ["nope"]),
        ("unknown further graph", lambda m: m["plan"]["params"].__setitem__("graphs", ["nope"]), CORRUPT, ["nope"]),
        ("lmhead as further graph", lambda m: m["plan"]["params"].__setitem__("graphs", [m["plan"]["params"]["lmhead"]]),
         CORRUPT, ["plan.params.graphs"]),
        ("prefill as decode", lambda m: m["plan"]["params"].__setitem__("decode", m["plan"]["params"]["prefill"]),
         CORRUPT, ["hidden"]),
        ("vision as lmhead", lambda m: m["plan"]["params"].__setitem__("lmhead", m["plan"]["params"]["vision"]),
         {CORRUPT, UNSUPPORTED}, ["graph"]),
        ("image size", lambda m: m["vision"].__setitem__("image", [256, 256]), CORRUPT, ["vision.image"]),
        ("vision hidden", lambda m: m["vision"].__setitem__("hidden", 17), CORRUPT, ["vision.hidden"]),
        ("merge", lambda m: m["vision"].__setitem__("merge", 1), CORRUPT, ["image_embeds"]),
        ("position grid", lambda m: m["vision"].__setitem__("position_grid", 3), CORRUPT, ["pos_embed"]),
        ("picture token", params("image_token_id", 5), CORRUPT, ["image_token_id"]),
        ("later version", lambda m: m.__setitem__("schema_version", 2), UNSUPPORTED, ["schema_version"]),
        ("no contexts", lambda m: m["artifacts"].pop("contexts"), UNSUPPORTED, ["contexts"]),
        ("no tokenizer", lambda m: m["artifacts"].pop("tokenizer"), CORRUPT, ["artifacts.tokenizer"]),
        ("no embeddings", lambda m: m["artifacts"].pop("embed"), CORRUPT, ["artifacts.embed"]),
        ("dots", lambda m: m["artifacts"].__setitem__("embed", "../embed_f16.bin"), CORRUPT, ["artifacts.embed"]),
        ("absolute", lambda m: m["artifacts"].__setitem__("embed", "/etc/passwd"), CORRUPT, ["artifacts.embed"]),
        ("dots in a context", lambda m: m["artifacts"]["contexts"]["llm"].__setitem__("bin", "a/../../llm.bin"), CORRUPT,
         ["artifacts.contexts.llm.bin"]),
        ("another file's size", lambda m: m["artifacts"]["contexts"]["llm"].__setitem__("bytes", 5), CORRUPT, ["bytes"]),
        ("swapped files", lambda m: (forget_sums(m), m["artifacts"]["contexts"]["llm"].__setitem__(
            "bin", m["artifacts"]["contexts"]["lmhead"]["bin"])), CORRUPT, ["plan"]),
        ("tokenizer as context", lambda m: (forget_sums(m), m["artifacts"]["contexts"]["llm"].__setitem__(
            "bin", "tokenizer.json")), ANY_ERROR, []),
    ]
    for what, change, codes, words in cases:
        folder = d.copy()
        edit(folder / d.manifest, change)
        d.fails(f"manifest: {what}", codes, d.args(folder), words)
        shutil.rmtree(folder)
    for what, text in {"empty": b"", "no JSON": b"hello", "cut": (d.bundle / d.manifest).read_bytes()[:200],
                       "a list": b"[]", "deep": b"[" * 100000, "zeros": bytes(1000)}.items():
        folder = d.copy()
        d.replace(folder, d.manifest, text)
        d.fails(f"manifest: {what}", CORRUPT, d.args(folder))
        shutil.rmtree(folder)
    folder = d.copy()
    os.unlink(folder / "embed_f16.bin")
    os.symlink(d.bundle / "embed_f16.bin", folder / "embed_f16.bin")
    d.fails("a link out of the bundle", INVALID, d.args(folder), ["leaves"])
    shutil.rmtree(folder)
    d.fails("no manifest", NOT_FOUND, d.args(manifest="gone.json"), ["gone.json"])
    d.fails("a folder as manifest", IO, d.args(manifest="."))


def libraries(d: Driver):
    text = d.work / "text.so"
    text.write_text("not a library")
    for what, lib in {"text file": str(text), "missing": str(d.work / "gone.so"), "folder": str(d.work),
                      "other library": "libm.so.6"}.items():
        d.fails(f"backend library: {what}", {NOT_FOUND, IO, UNSUPPORTED, CORRUPT}, d.args(lib=lib))
        d.fails(f"system library: {what}", {NOT_FOUND, IO, UNSUPPORTED, CORRUPT}, d.args(system=lib))


def png_header(width, height):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))


def jpeg_of_size(data, width, height):
    at = next(i for i in range(len(data)) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC2))
    return data[:at + 5] + struct.pack(">HH", height, width) + data[at + 9:]


def pictures(d: Driver):
    jpeg = Path(d.picture).read_bytes()
    bmp = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 65535, 65535, 1, 24, 0, 0, 0, 0, 0, 0)
    gif = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"\x2c" + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0)
    cases = {
        "no picture": (b"this is no picture", CORRUPT), "empty": (b"", CORRUPT), "zeros": (bytes(5000), CORRUPT),
        "cut JPEG": (jpeg[:len(jpeg) // 2], CORRUPT), "JPEG header": (jpeg[:20], CORRUPT),
        "PNG bomb": (png_header(65535, 65535), OUT_OF_RANGE), "JPEG bomb": (jpeg_of_size(jpeg, 65535, 65535), OUT_OF_RANGE),
        "BMP bomb": (bmp, OUT_OF_RANGE), "GIF bomb": (gif, {OUT_OF_RANGE, CORRUPT}),
        "PNG of no pixels": (png_header(0, 0), CORRUPT), "PNG short of data": (png_header(100, 100), CORRUPT),
    }
    file = d.work / "picture"
    for what, (data, codes) in cases.items():
        file.write_bytes(data)
        d.fails(f"picture: {what}", codes, d.args(image=str(file)))
    d.fails("picture: missing", NOT_FOUND, d.args(image=str(d.work / "gone.jpg")), ["gone.jpg"])
    d.fails("picture: a folder", IO, d.args(image=str(d.work)))
    d.fails("picture for a text manifest", UNSUPPORTED, d.args(manifest=d.text_manifest), ["text only"])


def arguments(d: Driver):
    good = d.args()
    for what, args, words in [
            ("none", [], ["MANIFEST"]),
            ("five", good[:5], ["5 arguments"]),
            ("eight", good + ["more"], ["8 arguments"]),
            ("unknown flag", good + ["--bogus"], ["--bogus"]),
            ("unknown flag first", ["--bogus=3"] + good, ["--bogus"]),
            ("unknown flag as prompt", d.args(prompt="--bogus"), ["--bogus"]),
            ("unknown short flag", good + ["-x"], ["-x"]),
            ("tokens: word", d.args(n="many"), ["N_TOKENS"]),
            ("tokens: negative", d.args(n="-1"), ["N_TOKENS"]),
            ("tokens: plus", d.args(n="+1"), ["N_TOKENS"]),
            ("tokens: fraction", d.args(n="1.5"), ["N_TOKENS"]),
            ("tokens: empty", d.args(n=""), ["N_TOKENS"]),
            ("tokens: huge", d.args(n="99999999999999999999"), ["N_TOKENS", "too large"]),
            ("value missing", good + ["--temperature"], ["--temperature"]),
            ("value of a switch", good + ["--json=yes"], ["--json"]),
            ("temperature: word", good + ["--temperature", "hot"], ["--temperature"]),
            ("temperature: negative", good + ["--temperature", "-1"], ["temperature"]),
            ("temperature: nan", good + ["--temperature", "nan"], ["temperature"]),
            ("top-p: 2", good + ["--top-p", "2"], ["top-p"]),
            ("top-k: -1", good + ["--top-k", "-1"], ["--top-k"]),
            ("penalty: 0", good + ["--repetition-penalty", "0"], ["penalty"]),
            ("seed: word", good + ["--seed", "x"], ["--seed"]),
            ("stop: empty", good + ["--stop", ""], ["--stop"]),
            ("threads: word", good + ["--threads", "x"], ["--threads"]),
            ("raw and system", good + ["--raw", "--system", "x"], ["--system"]),
            ("line breaks in a message", good + ["--threads", "a\nb"], ["--threads"]),
            ("empty manifest", [""] + good[1:], ["MANIFEST"]),
    ]:
        d.fails(f"arguments: {what}", INVALID, args, words)
    for what, args in {
            "flags first": ["--json", *good], "flags between": good[:3] + ["--stats"] + good[3:],
            "prompt like a number": d.args(prompt="-5 degrees"), "prompt after --": good[:5] + ["--", "--json"],
            "empty prompt": d.args(prompt="", image=""), "value with =": good + ["--temperature=0"]
    }.items():
        d.works(f"arguments: {what}", args)
    zero = d.run(d.args(n="0"))
    d.report("no tokens", [] if zero.returncode == 0 and zero.stdout == b"\n" else ["wrong"], zero)
    d.fails("a prompt longer than the context", OUT_OF_RANGE, d.args(prompt="word " * 5000), ["context"])
    dump = d.work / "never"
    d.fails("a refused prompt", OUT_OF_RANGE, d.args(prompt="word " * 5000, flags=["--dump", str(dump)]))
    if dump.exists():
        d.failures.append("a refused prompt left a dump folder")
    d.fails("a dump folder that cannot be made", {IO, NOT_FOUND}, d.args(flags=["--dump", "/dev/null/x"]))


def run_parts(description, make_driver, parts):
    """The whole of a test program: its options, its parts one after the other, its exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--demo", type=Path, required=True, help="folder with model/ and samples/")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qhx-cli-") as work:
        driver = make_driver(options.build, options.demo, Path(work))
        for part in parts:
            part(driver)
        print(f"{driver.count} cases, {len(driver.failures)} failures")
        return 1 if driver.failures else 0


if __name__ == "__main__":
    sys.exit(run_parts(__doc__, Driver, (arguments, pictures, libraries, contradicting_manifests, damaged_files)))
