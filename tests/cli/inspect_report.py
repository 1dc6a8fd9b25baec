#!/usr/bin/env python3
"""qhx inspect: what it tells of the demo bundle and of damaged ones, as text and as JSON. Standard library only."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from errors import CORRUPT, INVALID, IO, NOT_FOUND, UNSUPPORTED, edit, run_parts
from loading import EMULATION, Faults, fake_binary


class Inspector(Faults):
    def inspect(self, *args):
        return subprocess.run([self.program.parent / "qhx", "inspect", *args], capture_output=True, timeout=120)

    def check(self, what, result, code, conditions=(), words=()):
        """Exit code, the words in the one line of stderr, and conditions that must hold."""
        lines = result.stderr.decode().splitlines()
        problems = [f"exit {result.returncode}, expected {code}"] if result.returncode != code else []
        if len(lines) != (code != 0) or any(not line.startswith("qhx: error: ") for line in lines):
            problems.append(f"stderr {lines}")
        problems += [f'no "{word}"' for word in words if word not in result.stderr.decode()]
        problems += [f"condition {i}" for i, holds in enumerate(conditions) if not holds]
        self.report(what, problems, result)

    def json(self, *args):
        result = self.inspect("--json", *args)
        return result, json.loads(result.stdout) if result.stdout else {}


def whole_bundle(d: Inspector):
    result, report = d.json("--check", d.cpu_bundle)
    contexts = {c["file"]: c for c in report["contexts"]}
    graphs = {g["name"]: g for c in report["contexts"] for g in c["graphs"]}
    vlm = next(m for m in report["manifests"] if m["model"]["family"] == "vlm")
    params = json.loads((d.cpu_bundle / vlm["file"]).read_text())["params"]
    files = {f["file"]: f for f in report["files"]}
    per_token = 2 * params["n_layers"] * params["kv_dim"] * 2  # keys and values, f16
    named = [f for f in report["files"] if f["named"]]
    x = graphs["decode_1"]["inputs"][0]
    d.check("the demo bundle", result, 0, [
        report["ok"], report["kind"] == "bundle", len(report["manifests"]) == 2,
        set(files) == {f.name for f in d.cpu_bundle.iterdir()},
        all(f["bytes"] == (d.cpu_bundle / f["file"]).stat().st_size for f in report["files"]),
        len(named) == 8 and all(f["size"] == f["sha256"] == "equal" for f in named),
        contexts["llm_shared_512.bin"]["roles"] == ["llm"], set(graphs) == {"prefill_320", "decode_1", "lmhead", "vision"},
        (x["name"], x["dims"], x["bytes"]) == ("x", [1, params["hidden"]], 4 * params["hidden"]),
        vlm["kv_bytes_per_token"] == per_token, vlm["memory"]["kv"] == per_token * params["max_ctx"],
        vlm["memory"]["weights"] == sum(c["bytes"] for c in report["contexts"]),
        vlm["memory"]["total"] == sum(vlm["memory"][k] for k in ("weights", "kv", "io", "spill_fill")),
        vlm["image"] == [512, 512], all(c["backend"] == "QHX_CPU" and c["dsp_arch"] is None for c in report["contexts"])])
    _, unchecked = d.json(d.cpu_bundle)
    result, one = d.json(d.cpu_bundle / vlm["file"])
    d.check("one manifest", result, 0, [len(one["manifests"]) == 1, len(one["contexts"]) == 3,
                                        all(f["sha256"] == "not checked" for f in unchecked["files"] if f["named"])])
    result, lone = d.json(d.cpu_bundle / "lmhead_wqo.bin")
    d.check("one binary", result, 0, [lone["kind"] == "context binary", lone["contexts"][0]["graphs"][0]["name"] == "lmhead",
                                      lone["memory"]["weights"] == (d.cpu_bundle / "lmhead_wqo.bin").stat().st_size])
    result = d.inspect("--check", d.cpu_bundle)
    text = result.stdout.decode()
    d.check("as text", result, 0, [word in text for word in (
        vlm["file"], "past_k_0 … past_k_3", "graph prefill_320", "KV cache 1024 bytes a token", "tokenizer.json", "ok")])
    rows = text[text.index("\nfile "):].split("\n\n")[0].splitlines()[1:]
    column = rows[0].index("size")
    d.check("columns are aligned", result, 0, [len(rows) == len(files) + 1, all(row[column - 1] == " " for row in rows)])


def a_cache_of_integers(d: Inspector):
    folder = d.work / "int8"
    subprocess.run([d.program.parent / "qhx", "forge", d.checkpoint, "--kv", "int8", "--text-only", "-o", folder],
                   check=True, capture_output=True)
    result, report = d.json(folder)
    text, = report["manifests"]
    params = json.loads((folder / text["file"]).read_text())["params"]
    row = params["head_dim"] + 4  # int8, and a scale
    d.check("an int8 cache", result, 0, [
        text["kv_bytes_per_token"] == 2 * params["n_layers"] * params["n_kv_heads"] * row,
        text["memory"]["kv"] == text["kv_bytes_per_token"] * params["max_ctx"]])
    table = d.inspect(folder)
    d.check("an int8 cache as text", table, 0, [word in table.stdout.decode() for word in (
        "past_k_0 … past_k_3", "INT_8", "past_k_scale_0 … past_k_scale_3", "new_v_scale_0 … new_v_scale_3")])


def damaged_bundles(d: Inspector):
    name = "llm_shared_512.bin"
    folder = Path(tempfile.mkdtemp(dir=d.work))
    for file in d.cpu_bundle.iterdir():
        os.link(file, folder / file.name)
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    d.replace(folder, name, bytes(data))
    result, report = d.json(folder)
    d.check("a flipped bit, unchecked", result, 0, [report["ok"]])
    result, report = d.json("--check", folder)
    states = {f["file"]: f["sha256"] for f in report["files"]}
    d.check("a flipped bit", result, CORRUPT, [not report["ok"], states[name] == "different",
                                               states["lmhead_wqo.bin"] == "equal"], [name, "sha256"])
    d.replace(folder, name, bytes(data[:-1]))
    result, report = d.json(folder)
    context = next(c for c in report["contexts"] if c["file"] == name)
    d.check("cut", result, CORRUPT, [context["error"]["name"] == "Corrupt", len(report["contexts"]) == 3,
                                     all(m["memory"] is None for m in report["manifests"])], [name, "bytes"])
    os.unlink(folder / name)
    result = d.inspect(folder)
    d.check("missing", result, NOT_FOUND, [b"MISSING" in result.stdout, b"graph vision" in result.stdout], [name])
    d.replace(folder, d.text_manifest, b'{"schema_version": 1, ')
    result = d.inspect(folder)
    d.check("a broken manifest", result, CORRUPT, [b"UNREADABLE" in result.stdout], [d.text_manifest])
    edit(folder / next(folder.glob("*-vlm-*.json")).name, lambda m: m["artifacts"].update(embed="link.bin"))
    (folder / "link.bin").symlink_to("/etc/hostname")
    os.unlink(folder / d.text_manifest)
    result = d.inspect(folder)
    d.check("a link out of the bundle", result, INVALID, [], ["leaves"])


def no_bundles(d: Inspector):
    empty = d.work / "empty"
    empty.mkdir()
    d.check("an empty folder", d.inspect(empty), NOT_FOUND, [], ["no manifest"])
    d.check("nothing", d.inspect(d.work / "gone"), NOT_FOUND, [], ["gone", "no such file"])
    d.check("no manifest of that name", d.inspect(d.cpu_bundle / "gone.json"), NOT_FOUND, [], ["gone", "no such file"])
    d.check("a JSON file that is no manifest", d.inspect(d.cpu_bundle / "tokenizer.json"), CORRUPT, [], ["schema_version"])
    d.check("no arguments", d.inspect(), INVALID)
    d.check("an unknown option", d.inspect("--bogus", empty), INVALID)
    d.check("no context binary", d.inspect("--system", d.cpu_library, d.cpu_bundle / "embed_f16.bin"), CORRUPT, [],
            ["embed_f16.bin"])
    zeros = d.work / "empty.bin"
    zeros.write_bytes(b"")
    d.check("an empty file", d.inspect("--system", d.cpu_library, zeros), CORRUPT, [], ["empty.bin"])
    d.check("a system library that is none", d.inspect("--system", "libm.so.6", d.cpu_bundle / "lmhead_wqo.bin"),
            UNSUPPORTED, [], ["libm.so.6"])
    nowhere = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "QNN_SDK_ROOT")}
    nowhere.update({key: str(empty) for key in ("QHX_QNN_DIR", "HOME", "XDG_CACHE_HOME")})
    result = subprocess.run([d.program.parent / "qhx", "inspect", d.bundle / "lmhead_wqo.bin"], capture_output=True, env=nowhere)
    if not list(Path("/usr").glob("*/lib/python3*/*-packages/onnxruntime_qnn")) and not list(
            Path("/usr/lib").glob("python3*/*-packages/onnxruntime_qnn")):
        d.check("a binary of another library", result, NOT_FOUND, [], ["--system", "QHX_QNN_DIR", "onnxruntime-qnn"])
    d.check("a pipe", d.inspect("/dev/null"), IO)


def other_libraries(d: Inspector):
    """HTP facts of the fake's binaries, and what a library says of them."""
    result, report = d.json("--system", d.library, "--lib", d.library, d.bundle)
    context = report["contexts"][0]
    htp = {"optimization": 3, "vtcm_bytes": 8 << 20, "dlbc": True, "hvx_threads": 4, "spill_fill_bytes": 0,
           "shared_weight_bytes": 0}
    d.check("HTP bundle", result, 0, [
        report["library"]["provider"] == "FAKE_HTP", report["library"]["emulation"] == EMULATION,
        all(c["accepted"] for c in report["contexts"]), context["backend"] == "HTP",
        (context["dsp_arch"], context["soc_model"], context["qnn_build"]) == ("v79", 69, "v2.51.0.1"),
        all(g["htp"] == htp for c in report["contexts"] for g in c["graphs"])])
    result = d.inspect("--system", d.library, d.bundle)
    text = result.stdout.decode()
    d.check("HTP bundle as text", result, 0, ["arch v79, SoC 69" in text,
                                              "O3, VTCM 8 MiB, DLBC on, HVX threads 4, spill 0.0 kB" in text])
    twin = Path(tempfile.mkdtemp(dir=d.work))
    for file in d.bundle.iterdir():
        os.link(file, twin / file.name)
    name = "llm_shared_512.bin"
    d.put(twin, name, fake_binary([d.all_graphs["decode_1"], d.all_graphs["prefill_320"]], shared=1000))
    (twin / "twin.bin").write_bytes((d.bundle / name).read_bytes())
    edit(twin / d.manifest, lambda m: m["artifacts"].update(emulation={"llm": {"bin": "twin.bin"}}))
    result, report = d.json("--system", d.library, "--lib", d.library, twin)
    contexts = {c["file"]: c for c in report["contexts"]}
    d.check("a twin for emulation", result, 0, [
        contexts["twin.bin"]["for_emulation"], not contexts[name]["for_emulation"],
        contexts["twin.bin"]["accepted"] is (True if EMULATION else None),
        contexts[name]["accepted"] is (None if EMULATION else True),
        contexts[name]["graphs"][0]["htp"]["shared_weight_bytes"] == 1000])
    os.unlink(twin / "twin.bin")
    result, report = d.json("--system", d.library, twin)
    d.check("a bundle on a device, without its twin", result, 0, [len(report["contexts"]) == 2])
    result, report = d.json("--lib", d.library, d.cpu_bundle)
    d.check("a library for another backend", result, UNSUPPORTED, [not any(c["accepted"] for c in report["contexts"])],
            ["QHX_CPU", "HTP"])


if __name__ == "__main__":
    sys.exit(run_parts(__doc__, Inspector, (whole_bundle, a_cache_of_integers, damaged_bundles, no_bundles, other_libraries)))
