"""Drives this project's own binaries: forge a bundle, ask a question. Standard library only."""
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(HERE, "model")


class Bundle:
    """A CPU bundle made from the demo model, and the programs of a build folder that run it."""

    def __init__(self, build, folder, threads=0):
        self.build, self.folder, self.threads = build, folder, threads
        self.library = os.path.join(build, "lib", "libQhxCpu.so")

    def program(self, name):
        return os.path.join(self.build, "bin", name)

    def forge(self, weights="w8", size=512, model=MODEL, kv="f16"):
        """Makes the bundle unless it is there already and was made by this very build and model."""
        stamp = os.path.join(self.folder, ".made-from")
        made_from = json.dumps([weights, size, kv] + [
            [os.path.abspath(p), os.stat(p).st_mtime_ns, os.stat(p).st_size]
            for p in (self.program("qhx"), self.library, os.path.join(model, "model.safetensors"))])
        if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == made_from:
            return
        subprocess.run([self.program("qhx"), "forge", model, "--target", "cpu", "--weights", weights, "--kv", kv,
                        "--image", str(size),
                        "--name", "qwen3vl-demo", "--ctx", "1024", "--prefill", "320", "--force", "-o", self.folder],
                       check=True, stdout=sys.stderr)
        with open(stamp, "w", encoding="utf-8") as f:
            f.write(made_from)

    def manifest(self, kind):
        names = [n for n in os.listdir(self.folder) if re.fullmatch(rf".*-{kind}-.*\.json", n)]
        if len(names) != 1:
            sys.exit(f"{self.folder}: expected one {kind} manifest, found {names}")
        return os.path.join(self.folder, names[0])

    def ask(self, question, image=None, tokens=64, flags=()):
        """One chat turn, greedy. Returns qhx_generate's JSON: text, finish_reason, metrics."""
        command = [self.program("qhx_generate"), self.manifest("vlm" if image else "text"), self.library, self.library,
                   self.folder, str(tokens), question] + ([image] if image else []) + ["--json", *flags]
        if self.threads:
            command += ["--threads", str(self.threads)]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\nexit code {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)
