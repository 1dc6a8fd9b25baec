#!/usr/bin/env python3
"""Runner (see task.py) of llama.cpp. Task: bin, model, mmproj or null, image, threads, out.

llama-bench for prefill and decode, llama-server for the rest; without mmproj the former alone.
"""
import base64
import json
import re
import socket
import subprocess
import time
import urllib.request

import task

CONTEXT = 2048


def bench(t):
    def rate(*args):
        out = subprocess.run([f'{t["bin"]}/llama-bench', "-m", t["model"], "-t", str(t["threads"]), "-r", "1", "-o", "json",
                              *map(str, args)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        return json.loads(out)[0]["avg_ts"]

    return dict(prefill_tps=rate("-p", task.PREFILL, "-n", 0),
                decode_tps=rate("-p", 0, "-n", task.STEPS, "-d", task.PREFILL))


class Server:
    def __init__(self, t):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        self.log = f'{t["out"]}/llama-server.log'
        task.read_into_cache(t["model"], t["mmproj"])
        start = time.time()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [f'{t["bin"]}/llama-server', "-m", t["model"], "--mmproj", t["mmproj"], "-t", str(t["threads"]), "-c",
                 str(CONTEXT), "-np", "1", "--no-warmup", "--host", "127.0.0.1", "--port", str(port), "-lv", "4"],
                stdout=log, stderr=subprocess.STDOUT)
        while not self.is_ready():
            if self.process.poll() is not None or time.time() - start > 300:
                raise SystemExit(f"llama-server did not start, see {self.log}")
            time.sleep(0.01)
        self.load_s = time.time() - start

    def is_ready(self):
        try:
            return urllib.request.urlopen(self.base + "/health", timeout=5).status == 200
        except OSError:
            return False

    def ask(self, image, words, cache):
        """Seconds to the first token."""
        with open(image, "rb") as f:
            url = "data:image/png;base64," + base64.b64encode(f.read()).decode()
        content = [dict(type="image_url", image_url=dict(url=url)), dict(type="text", text=words)]
        body = dict(messages=[dict(role="user", content=content)], stream=True, max_tokens=2, temperature=0,
                    ignore_eos=True, cache_prompt=cache)
        request = urllib.request.Request(self.base + "/v1/chat/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        start, first = time.time(), None
        with urllib.request.urlopen(request, timeout=900) as answer:
            for line in answer:
                if line.startswith(b"data: {") and first is None:
                    choices = json.loads(line[6:]).get("choices")
                    if choices and choices[0]["delta"].get("content"):
                        first = time.time() - start
        return first

    def encode_s(self):
        """Of the last picture, from the stamps (minutes.seconds.milliseconds.microseconds) around it in the log."""
        stamp, begin, taken = r"^(\d+)\.(\d+)\.(\d+)\.(\d+) ", None, None
        with open(self.log, errors="replace") as f:
            for line in f:
                if (found := re.match(stamp, line)) is None:
                    continue
                minutes, seconds, ms, us = map(int, found.groups())
                now = minutes * 60 + seconds + ms / 1e3 + us / 1e6
                if "encoding mtmd batch" in line:
                    begin = now
                elif "decoding image batch" in line and begin is not None:
                    begin, taken = None, now - begin
        return taken

    def stop(self):
        self.process.terminate()
        self.process.wait()


def serve(t):
    server = Server(t)
    try:
        server.ask(t["image"], task.FIRST, False)
        ttft = server.ask(t["image"], task.FIRST, False)
        vision = server.encode_s()
        server.ask(t["image"], task.FIRST, True)
        second = server.ask(t["image"], task.SECOND, True)
        return dict(load_s=server.load_s, ttft_s=ttft, vision_s=vision, second_ttft_s=second,
                    peak_mb=task.status_mb("VmHWM", server.process.pid))
    finally:
        server.stop()


t = task.read()
figures = {}
if t.get("rates", True):
    figures |= bench(t)
if t["mmproj"]:
    figures |= serve(t)
task.tell(**{key: value for key, value in figures.items() if value is not None})
