#!/usr/bin/env python3
"""What is refused before a bundle is loaded: wrong chip, old library, damaged files, no memory, no library.

A fake HTP library (tests/fakes/fake_htp.cpp) runs bundles whose binaries are text. It records what it creates, so that a
refusal can be shown to have come before. Standard library only.
"""
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys

from errors import CORRUPT, NOT_FOUND, OUT_OF_RANGE, UNSUPPORTED, Driver, edit, forget_sums, run_parts

BACKEND = 8
EMULATION = platform.machine() == "x86_64"  # an HTP library on any other machine is a device's
LARGE = 65 << 20  # files of this size are not hashed whole when a bundle is loaded


def fake_binary(graphs, build="v2.51.0.1", arch=79, soc=69, shared=0):
    document = {"build": build, "arch": arch, "soc": soc, "shared": shared, "graphs": graphs}
    return b"FAKEHTP\n" + json.dumps(document).encode() + b"\0"


class Faults(Driver):
    def __init__(self, build, demo, work):
        super().__init__(build, demo, work)
        self.cpu_library = self.library
        self.cpu_bundle = self.bundle
        self.library = str(build / "tests/libFakeHtp.so")
        self.log = work / "created"
        report = json.loads(subprocess.run([build / "bin/qhx", "inspect", "--json", self.bundle], check=True,
                                           capture_output=True).stdout)
        graphs = {g["name"]: g for c in report["contexts"] for g in c["graphs"]}
        self.all_graphs = graphs
        self.graphs = {"llm_shared_512.bin": [graphs["decode_1"]], "lmhead_wqo.bin": [graphs["lmhead"]]}
        self.bundle = work / "fake"
        self.bundle.mkdir()
        for name in ("embed_f16.bin", "tokenizer.json", self.text_manifest):
            shutil.copy(self.cpu_bundle / name, self.bundle)
        self.manifest = self.text_manifest
        self.picture = ""
        edit(self.bundle / self.manifest, self.describe)
        for name, list_ in self.graphs.items():
            self.put(self.bundle, name, fake_binary(list_))

    @staticmethod
    def describe(document):
        document["model"].update(dsp_arch="v79", soc_model=69, qnn_build="v2.51.0.1")
        document["plan"]["params"].pop("prefill")
        document["plan"]["steps"] = []

    def put(self, folder, name, data, size=0):
        """Writes a context binary, padded to `size` with a hole, and records it in the manifest if it is small."""
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(data)
        if size:
            os.truncate(folder / name, size)

        def change(document):
            for context in document["artifacts"]["contexts"].values():
                if context["bin"] == name:
                    context["bytes"] = (folder / name).stat().st_size
                    context["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest() if size <= LARGE else ""
                    if size > LARGE:
                        context.pop("sha256")

        edit(folder / self.manifest, change)

    def environment(self, **settings):
        self.settings = {f"FAKE_HTP_{key.upper()}": str(value) for key, value in settings.items()}

    def run(self, args):
        self.log.unlink(missing_ok=True)
        settings = {**os.environ, **getattr(self, "settings", {}), "FAKE_HTP_LOG": str(self.log)}
        settings.pop("ADSP_LIBRARY_PATH", None)
        return subprocess.run([self.program, *args], capture_output=True, timeout=120, env=settings)

    def created(self):
        return self.log.read_text().split("\n")[:-1] if self.log.exists() else []

    def refuses(self, what, code, args, words):
        self.fails(what, code, args, words)
        if self.created():
            self.failures.append(what)
            print(f"FAIL {what}: refused after {self.created()}")

    def variant(self, change):
        folder = self.copy()
        edit(folder / self.manifest, change)
        return folder


def chips(d: Faults):
    d.works("the fake bundle", d.args(n="1"))
    expected = ["backend", "device 69" if EMULATION else "device 0", "context", "context"]
    if d.created() != expected:
        d.failures.append("created")
        print("FAIL created", d.created())
    model = lambda **keys: lambda document: document["model"].update(keys)
    d.refuses("manifest of another arch", CORRUPT, d.args(d.variant(model(dsp_arch="v81"))),
              ["llm_shared_512.bin", "wrong arch", "the manifest says v81, the binary v79"])
    d.refuses("manifest of another SoC", CORRUPT, d.args(d.variant(model(soc_model=87))), ["wrong SoC", "87", "69"])
    mixed = d.variant(lambda document: (document["model"].pop("dsp_arch"), document["model"].pop("soc_model")))
    d.put(mixed, "lmhead_wqo.bin", fake_binary(d.graphs["lmhead_wqo.bin"], arch=81, soc=87))
    other = d.variant(model(dsp_arch="v81", soc_model=87))
    if EMULATION:
        d.refuses("binaries of two archs", UNSUPPORTED, d.args(mixed),
                  ["wrong arch: made for v81 (SoC 87)", "the emulated chip is v79 (SoC 69)", "--allow-arch-mismatch"])
        for what, folder in {"two archs": mixed, "another arch": other}.items():
            result = d.run(d.args(folder, n="1", flags=["--allow-arch-mismatch"]))
            notes = [line for line in result.stderr.decode().splitlines() if line.startswith("qhx_generate: note: ")]
            good = result.returncode == 0 and notes and all("in emulation only" in note for note in notes)
            good &= "device 87" in d.created()  # which runs both
            d.report(f"{what} in emulation on request", [] if good else [f"{notes} {d.created()}"], result)
    else:
        for soc, arch, code_words in [(57, 75, "wrong arch: made for v79 (SoC 69), this device is v75 (SoC 57)"),
                                      (70, 79, "wrong SoC: made for v79 (SoC 69), this device is v79 (SoC 70)")]:
            d.environment(soc=soc, arch=arch)
            d.refuses(f"device {soc}", UNSUPPORTED, d.args(), [code_words])
        d.works("another SoC on request", d.args(n="1", flags=["--allow-arch-mismatch"]))
        d.environment(soc=57, arch=75)
        d.refuses("another arch on request", UNSUPPORTED, d.args(flags=["--allow-arch-mismatch"]), ["wrong arch"])
        d.environment()


def shared_weights(d: Faults):
    folder = d.copy()
    both = [d.all_graphs["decode_1"], d.all_graphs["prefill_320"]]
    d.put(folder, "llm_shared_512.bin", fake_binary(both))
    d.works("two graphs with weights of their own", d.args(folder, n="1"))
    d.put(folder, "llm_shared_512.bin", fake_binary(both, shared=1000))
    if EMULATION:
        d.refuses("shared weights in emulation", UNSUPPORTED, d.args(folder), ["shared weights", "--emulation-twin"])
        (folder / "twin.bin").write_bytes(fake_binary(both))
        edit(folder / d.manifest, lambda m: m["artifacts"].update(emulation={"llm": {"bin": "twin.bin"}}))
        d.works("a twin with weights of its own", d.args(folder, n="1"))
    else:
        d.works("shared weights on a device", d.args(folder, n="1"))


def libraries(d: Faults):
    newer = d.copy()
    d.put(newer, "lmhead_wqo.bin", fake_binary(d.graphs["lmhead_wqo.bin"], build="v2.53.0.1"))
    d.refuses("library older than a binary", UNSUPPORTED, d.args(newer),
              ["lmhead_wqo.bin", "library too old", "v2.53.0.1", "v2.51.0.1"])
    d.refuses("no library", NOT_FOUND, d.args(lib="libQnnHtp_gone.so"),
              ["pip install onnxruntime-qnn" if EMULATION else "qnnruntime"])
    d.refuses("no system library", NOT_FOUND, d.args(system="/nowhere/libQnnSystem.so"), ["QAIRT"])
    d.refuses("CPU bundle for an HTP library", UNSUPPORTED, d.args(d.cpu_bundle, d.text_manifest),
              ["made for the CPU library", "give libQhxCpu.so"])
    d.refuses("HTP bundle for the CPU library", UNSUPPORTED, d.args(lib=d.cpu_library, system=d.cpu_library),
              ["give libQnnHtp.so"])
    for name, code in (("device", 14001), ("backend", 4000)):
        d.environment(**{f"{name}_error": code})
        d.fails(f"{name} cannot be created", BACKEND, d.args(),
                [str(code), "the emulated chip is SoC 69" if EMULATION else "ADSP_LIBRARY_PATH is not set"])
        d.environment()


def files(d: Faults):
    name = "llm_shared_512.bin"
    data = (d.bundle / name).read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for what, new, words in [("truncated", data[:-1], ["expected", "bytes from the manifest"]),
                             ("flipped", bytes(flipped), ["does not match the manifest's sha256"])]:
        folder = d.copy()
        d.replace(folder, name, new)
        d.refuses(f"{what} binary", CORRUPT, d.args(folder), [name, *words])
    large = d.copy()
    d.put(large, name, data, LARGE)
    d.works("a large binary", d.args(large, n="1"))
    with open(large / name, "r+b") as file:
        file.seek(LARGE - 1)
        file.write(b"\1")
    flags = [] if EMULATION else ["--verify-hashes"]
    d.refuses("a bit of a large binary", CORRUPT, d.args(large, flags=flags), [name, "sha256"])
    table = bytearray((d.bundle / "embed_f16.bin").read_bytes())
    table[-1] ^= 1
    folder = d.copy()
    d.replace(folder, "embed_f16.bin", bytes(table))
    d.refuses("a bit of a table, all hashes verified", CORRUPT, d.args(folder, flags=["--verify-hashes"]),
              ["embed_f16.bin", "sha256"])


def memory(d: Faults):
    name = "llm_shared_512.bin"
    folder = d.copy()
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    d.put(folder, name, fake_binary(d.graphs[name]), 2 * machine)
    d.refuses("more than the machine has", OUT_OF_RANGE, d.args(folder),
              ["not enough memory", f"weights {2 * machine / 1e6:.0f}"[:-3], "are available", "--allow-low-memory"])
    d.works("on request", d.args(folder, n="1", flags=["--allow-low-memory"]))


if __name__ == "__main__":
    sys.exit(run_parts(__doc__, Faults, (chips, shared_weights, libraries, files, memory)))
