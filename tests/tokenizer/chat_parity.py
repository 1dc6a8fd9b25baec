#!/usr/bin/env python3
"""Compares chat rendering and encoding with transformers' apply_chat_template on a model folder's own template.

    chat_parity.py --driver <qhx_tokenize> --model <folder with tokenizer.json and chat_template.json> [--count 3000]

Seeded random conversations: several roles, text and pictures, tools with nested JSON, tool calls and answers, picture
labels. The ids are those of the rendered text with each picture's token repeated. Exit code 0: all equal; 1: a
difference; 77: SKIPPED, because transformers is not installed.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys

import texts

SEED = 7
FORMAT = {role: [f"<|im_start|>{role}\n", "<|im_end|>\n"] for role in ("system", "user", "assistant")}
PAD = "<|image_pad|>"
NUMBERS = [0, -1, 7, 10**18, 2**63, 2**64, -(10**30), 0.5, -0.0, 1e16, 1e15, 123456789.125, 1e-4, 1e-5, 5e-324, 1.7976931348623157e308, 1e22,
           3.0, 0.1, 2.5e-7, 9007199254740993.0]


def text(rng):
    kind = rng.random()
    if kind < 0.1:
        return ""
    maker = rng.choice([texts.script_text, texts.mixture, texts.marks, texts.run])
    return maker(rng).replace(PAD, "")


def value(rng, depth=0):
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind <= 4:
        return rng.choice(["", "text", 'q"uo\\te', "tab\tnew\nline\r\b\f\x00\x1f\x7f", "</tool_call>", "中文é😀\u2028", text(rng)])
    if kind == 5:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(["b", "a", "é", "type", 'k"', ""]) + str(i): value(rng, depth + 1) for i in range(rng.randrange(4))}


def tool(rng):
    return {"type": "function", "function": {"name": rng.choice(["get_weather", "f"]), "description": text(rng),
                                             "parameters": {"type": "object", "properties": {"x": value(rng)}, "required": ["x"]}}}


def parts(rng, pictures):
    if rng.random() < 0.4:
        return text(rng)
    out = []
    for _ in range(rng.randrange(4)):
        if pictures and rng.random() < 0.5:
            out.append(rng.choice([{"type": "image"}, {"type": "image", "image": "a.png"}, {"image": "a.png"},
                                   {"type": "image_url", "image_url": {"url": "b.png"}}]))
        else:
            out.append(rng.choice([{"type": "text"}, {}]) | {"text": text(rng)})
    return out


def call(rng):
    arguments = rng.choice([value(rng), {"x": value(rng)}, json.dumps({"y": 1})])
    body = {"name": rng.choice(["get_weather", "f"]), "arguments": {} if arguments is None else arguments}
    return rng.choice([body, {"type": "function", "function": body}])


def conversation(rng):
    messages = [{"role": "system", "content": parts(rng, False)}] if rng.random() < 0.5 else []
    for _ in range(rng.randint(1, 6)):
        role = rng.choice(["user", "user", "assistant", "tool", "tool", "system"])
        message = {"role": role, "content": parts(rng, role in ("user", "tool") or rng.random() < 0.1)}
        if role == "assistant" and rng.random() < 0.6:
            message["tool_calls"] = [call(rng) for _ in range(rng.randrange(4))]
        messages.append(message)
    return messages


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", required=True)
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--count", type=int, default=3000)
    args = parser.parse_args()
    try:
        import tokenizers
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        print(f"SKIPPED: {error}")
        return 77
    package = tokenizers.Tokenizer.from_file(str(args.model / "tokenizer.json"))
    wrapped = PreTrainedTokenizerFast(tokenizer_object=package)
    template = json.loads((args.model / "chat_template.json").read_text(encoding="utf-8"))["chat_template"]

    rng = random.Random(SEED)
    requests, expected = [], []
    for _ in range(args.count):
        messages = conversation(rng)
        tools = [tool(rng) for _ in range(rng.randint(1, 3))] if rng.random() < 0.4 else None
        options = {"add_generation_prompt": rng.random() < 0.5, "add_vision_id": rng.random() < 0.3}
        rendered = wrapped.apply_chat_template(messages, tools=tools, chat_template=template, tokenize=False, **options)
        copies = [rng.randint(1, 9) for _ in range(rendered.count(PAD))]
        pieces = rendered.split(PAD)
        expanded = pieces[0] + "".join(PAD * n + piece for n, piece in zip(copies, pieces[1:]))
        ids = package.encode(expanded, add_special_tokens=False).ids
        expected.append((rendered, ids, copies))
        requests.append({"messages": json.dumps(messages), "format": FORMAT, "tools": [json.dumps(t) for t in tools or []],
                         "options": options, "picture_tokens": copies})
    answers = subprocess.run([args.driver, args.model / "tokenizer.json"], input="\n".join(map(json.dumps, requests)).encode(),
                             check=True, stdout=subprocess.PIPE).stdout.splitlines()
    pad_id = package.token_to_id(PAD)
    differences = abs(len(answers) - len(requests))
    for request, line, (rendered, ids, copies) in zip(requests, answers, expected):
        answer = json.loads(line)
        spans = answer.get("pictures", [])
        spans_fit = [end - begin for begin, end in spans] == copies and all(set(ids[b:e]) == {pad_id} for b, e in spans)
        if answer.get("text") != rendered or answer.get("ids") != ids or not spans_fit:
            differences += 1
            if differences <= 5:
                print(f"{str(request)[:1000]}\n  expected {rendered!r}\n  found    {answer}")
    print(f"{len(requests)} conversations, {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
