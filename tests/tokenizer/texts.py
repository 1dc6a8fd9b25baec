"""Texts for parity.py: seeded, in many scripts, ordinary and hostile."""
import random

# (name, ranges of code points that words are drawn from)
SCRIPTS = {
    "latin": [(0x61, 0x7A), (0x41, 0x5A)], "latin_accents": [(0xC0, 0x24F)], "ipa": [(0x250, 0x2FF)],
    "greek": [(0x370, 0x3FF), (0x1F00, 0x1FFF)], "cyrillic": [(0x400, 0x52F)], "armenian": [(0x531, 0x58A)],
    "hebrew": [(0x591, 0x5F4)], "arabic": [(0x600, 0x6FF), (0x750, 0x77F)], "syriac": [(0x700, 0x74F)],
    "thaana": [(0x780, 0x7B1)], "nko": [(0x7C0, 0x7FF)], "devanagari": [(0x900, 0x97F)], "bengali": [(0x980, 0x9FE)],
    "gurmukhi": [(0xA01, 0xA76)], "gujarati": [(0xA81, 0xAFF)], "oriya": [(0xB01, 0xB77)], "tamil": [(0xB82, 0xBFA)],
    "telugu": [(0xC00, 0xC7F)], "kannada": [(0xC80, 0xCF3)], "malayalam": [(0xD00, 0xD7F)], "sinhala": [(0xD81, 0xDF4)],
    "thai": [(0xE01, 0xE5B)], "lao": [(0xE81, 0xEDF)], "tibetan": [(0xF00, 0xFDA)], "myanmar": [(0x1000, 0x109F)],
    "georgian": [(0x10A0, 0x10FF), (0x1C90, 0x1CBF)], "jamo": [(0x1100, 0x11FF)], "ethiopic": [(0x1200, 0x139F)],
    "cherokee": [(0x13A0, 0x13FD)], "khmer": [(0x1780, 0x17F9)], "mongolian": [(0x1800, 0x18AA)],
    "balinese": [(0x1B00, 0x1B7F)], "kana": [(0x3041, 0x30FF)], "bopomofo": [(0x3105, 0x312F)],
    "han": [(0x4E00, 0x9FFF), (0x3400, 0x4DBF)], "han_compatibility": [(0xF900, 0xFAD9), (0x2F800, 0x2FA1D)],
    "hangul": [(0xAC00, 0xD7A3)], "grantha_tirhuta": [(0x11300, 0x113E2), (0x11480, 0x114D9)],
    "kaithi_chakma": [(0x11080, 0x110C2), (0x11100, 0x11147)], "todhri_kirat": [(0x105C0, 0x105F3), (0x16100, 0x16139)],
    "adlam": [(0x1E900, 0x1E95F)], "music": [(0x1D100, 0x1D1EA)], "math": [(0x1D400, 0x1D7FF)],
    "digits": [(0x30, 0x39), (0x660, 0x669), (0x966, 0x96F), (0x2070, 0x2189), (0x3021, 0x3029), (0x10107, 0x10133)],
    "punctuation": [(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E), (0x2010, 0x205E), (0x3001, 0x301F)],
}
SPACES = [*range(0x09, 0x0E), 0x1C, 0x1F, 0x20, 0x20, 0x20, 0x20, 0x0A, 0x0A, 0x0D, 0x85, 0xA0, 0x1680, 0x180E, 0x2000, 0x2003,
          0x200A, 0x200B, 0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF]
MARKS = [*range(0x300, 0x36F), 0x5B0, 0x64B, 0x651, 0x93C, 0x94D, 0x9BE, 0x3099, 0x309A, 0x0F71, 0x0F72, 0x1DC0, 0x20D0, 0x302A,
         0x1D165, 0x1D16D, 0x1161, 0x11A8, 0x1AB0, 0x1DF6, 0xFE20, 0x200D, 0xFE0F]
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "❤️", "1️⃣", "🧑🏿‍🚀", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "☺", "™️", "©"]
ADDED = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|image_pad|>", "<think>", "</think>", "<tool_call>",
         "<|im_end|", "<|im_", "<<|im_end|>>", "<|fim_prefix|>", "<tool_response>", "<|x|>"]
CONTRACTIONS = ["'s", "'S", "'t", "'re", "'RE", "'vE", "'m", "'ll", "'lL", "'d", "'ſ", "'\u212A", "'r", "'l", "''s", "’s", "'st", "'ſt", "'",
                "'ß", "'ﬆ", "'\u0149"]
CODE = ["def f(x):\n    return x + 1\n", "for (int i = 0; i < n; ++i) {\n\t\tsum += a[i];\n\t}\n", "<div class=\"a\">&nbsp;</div>",
        "SELECT * FROM t WHERE id=42;\r\n", "\\frac{1}{2}", "#include <vector>\n\n\n", "x = {'a': [1, 2.5e-3], \"b\": None}  # note\n",
        "https://example.org/a?b=c&d=%20#e", "0x1F600 1234567890 3.14159", "a\t\tb   c\n \n  d", "--flag=value;;;\n\n\r\n", "===>>>", "\r\r\n\n"]


def scalar(rng):
    while True:
        c = rng.choice((rng.randrange(0x110000), rng.randrange(0x10000), rng.randrange(0x3000), rng.randrange(0x100)))
        if not 0xD800 <= c <= 0xDFFF:
            return chr(c)


def word(rng, ranges):
    out = []
    for _ in range(rng.randint(1, 12)):
        first, last = rng.choice(ranges)
        out.append(chr(rng.randint(first, last)))
        if rng.random() < 0.08:
            out.append(chr(rng.choice(MARKS)))
    return "".join(out)


def script_text(rng):
    ranges = SCRIPTS[rng.choice(list(SCRIPTS))]
    parts = []
    for _ in range(rng.randint(1, 14)):
        parts.append(word(rng, ranges))
        kind = rng.random()
        if kind < 0.6:
            parts.append(" ")
        elif kind < 0.8:
            parts.append(rng.choice([". ", ", ", "!\n", " (", ") ", "...", "\n\n", " — ", "; ", "'"]))
        elif kind < 0.9:
            parts.append("".join(chr(rng.choice(SPACES)) for _ in range(rng.randint(1, 4))))
    return "".join(parts)


def mixture(rng):
    pick = [lambda: word(rng, SCRIPTS[rng.choice(list(SCRIPTS))]), lambda: rng.choice(EMOJI), lambda: rng.choice(ADDED),
            lambda: rng.choice(CONTRACTIONS), lambda: rng.choice(CODE), lambda: chr(rng.choice(SPACES)), lambda: chr(rng.choice(MARKS)),
            lambda: scalar(rng), lambda: chr(rng.randrange(0x20))]
    return "".join(rng.choice(pick)() for _ in range(rng.randint(1, 16)))


def marks(rng):
    base = rng.choice(["a", "e", "o\u031B", "\u1100", "\u0915", "가", "각", "\u05E9", "", " ", "\u09C7", "\u0B92", "\u1025", "\u3046", "q"])
    return base + "".join(chr(rng.choice(MARKS)) for _ in range(rng.randint(1, 24))) + rng.choice(["", "x", " ", "\n"])


def run(rng):
    unit = rng.choice(["a", " ", "\n", "!", "\u0301", "\u0301\u0316", "é", "中", "0", "😀", "\t", "\r\n", "'s", "=", "ab", "\u00A0", "가", "<", "ha"])
    return rng.choice(["", "x", " "]) + unit * rng.choice([2, 3, 15, 16, 17, 47, 48, 49, 50, 64, 100, 257]) + rng.choice(["", "x", " x", "\n"])


def random_scalars(rng):
    return "".join(scalar(rng) for _ in range(rng.randint(1, 30)))


def texts(count, seed, samples=()):
    """`count` strings; `samples` are longer texts that passages are cut from."""
    rng = random.Random(seed)
    makers = [script_text] * 8 + [mixture] * 5 + [marks] * 2 + [run] + [random_scalars] * 2
    for _ in range(count):
        if samples and rng.random() < 0.12:
            sample = rng.choice(samples)
            at = rng.randrange(max(1, len(sample) - 300))
            yield sample[at:at + rng.randint(1, 300)]
        else:
            yield rng.choice(makers)(rng)


def byte_strings(count, seed):
    """Bytes that are mostly not UTF-8: cut, overlong, surrogates, too large, random."""
    rng = random.Random(seed)
    broken = [b"\x80", b"\xC0\xAF", b"\xC2", b"\xE0\x80\x80", b"\xE0\xA0", b"\xED\xA0\x80", b"\xED\xBF\xBF", b"\xF0\x80\x80\x80", b"\xF0\x9F\x98",
              b"\xF0\x9F", b"\xF4\x90\x80\x80", b"\xF5\x80\x80\x80", b"\xFF", b"\xFE", b"\xF8\x88\x80\x80\x80", b"\xE4\xB8", b"\xBF\xBF"]
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(1, 8)):
            kind = rng.random()
            if kind < 0.4:
                parts.append(rng.choice(broken))
            elif kind < 0.6:
                parts.append(bytes(rng.randrange(256) for _ in range(rng.randint(1, 6))))
            else:
                parts.append(mixture(rng).encode())
        yield b"".join(parts)


def code_point_texts():
    """Every scalar value in the places where its properties matter."""
    for c in range(0x110000):
        if not 0xD800 <= c <= 0xDFFF:
            ch = chr(c)
            yield f"{ch}\na{ch} {ch}a{ch}\u0301\n'{ch} 1{ch}{ch} !{ch}\r  {ch}\u0316\u0334\ne{ch}\u0301{ch}\u1161\u11A8\n\u1100{ch}\n\u00A0{ch}"


def single_code_points():
    for c in range(0x110000):
        if not 0xD800 <= c <= 0xDFFF:
            yield chr(c)
