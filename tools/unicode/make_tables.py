#!/usr/bin/env python3
"""Writes src/text/unicode_tables.cpp.

    pip install unicodedata2==16.0.0
    python3 tools/unicode/make_tables.py | clang-format > src/text/unicode_tables.cpp

The goal is to encode text exactly as the `tokenizers` package (0.23) does. That package carries two Unicode versions:

* its regular expressions take \\p{L}, \\p{N} and \\s from Unicode 16.0;
* its NFC is that of Unicode 9.0: whatever was assigned later is left where it stands.

Unicode never changes the decomposition or combining class of an assigned character, so the older NFC is the newer one
without the characters that were added since. NEWER_THAN_9 lists those of them that matter (combining class not 0, or
a canonical decomposition). tests/tokenizer/parity.py compares every code point with the package.
"""
import sys

import unicodedata2 as ucd

SCALARS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
HANGUL = range(0xAC00, 0xAC00 + 11172)  # composed by arithmetic
# The regular expressions' \s, which is the White_Space property.
SPACES = [*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]

NEWER_THAN_9 = {int(text, 16) for text in """
7FD 897 898 899 89A 89B 89C 89D 89E 89F 8CA 8CB 8CC 8CD 8CE 8CF 8D0 8D1 8D2 8D3 9FE C3C D3B D3C EBA 1715 1ABF
1AC0 1AC1 1AC2 1AC3 1AC4 1AC5 1AC6 1AC7 1AC8 1AC9 1ACA 1ACB 1ACC 1ACD 1ACE 1DF6 1DF7 1DF8 1DF9 1DFA A82C 105C9
105E4 10D24 10D25 10D26 10D27 10D69 10D6A 10D6B 10D6C 10D6D 10EAB 10EAC 10EFD 10EFE 10EFF 10F46 10F47 10F48
10F49 10F4A 10F4B 10F4C 10F4D 10F4E 10F4F 10F50 10F82 10F83 10F84 10F85 11070 1133B 11383 11385 1138E 11391
113C5 113C7 113C8 113CE 113CF 113D0 1145E 11839 1183A 11938 1193D 1193E 11943 119E0 11A34 11A47 11A99 11D42
11D44 11D45 11D97 11F41 11F42 16121 16122 16123 16124 16125 16126 16127 16128 1612F 16D68 16D69 16D6A 16FF0
16FF1 1E08F 1E130 1E131 1E132 1E133 1E134 1E135 1E136 1E2AE 1E2EC 1E2ED 1E2EE 1E2EF 1E4EC 1E4ED 1E4EE 1E4EF
1E5EE 1E5EF
""".split()}


def ranges(code_points):
    out = []
    for c in code_points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def print_ranges(name, code_points):
    print(f"constexpr CodePointRange {name}[] = {{")
    print(",".join(f"{{0x{a:04X},0x{b:04X}}}" for a, b in ranges(code_points)))
    print("};\n")


def combining_classes():
    out = []
    for c in SCALARS:
        ccc = ucd.combining(chr(c))
        if ccc == 0 or c in NEWER_THAN_9:
            continue
        if out and out[-1][1] == c - 1 and out[-1][2] == ccc:
            out[-1][1] = c
        else:
            out.append([c, c, ccc])
    return out


def decompositions():
    """(code point, first, second or 0, may be composed again)"""
    out = []
    for c in SCALARS:
        mapping = ucd.decomposition(chr(c))
        if not mapping or mapping.startswith("<") or c in NEWER_THAN_9:
            continue
        parts = [int(p, 16) for p in mapping.split()]
        assert len(parts) in (1, 2) and c not in HANGUL
        out.append((c, parts[0], parts[1] if len(parts) == 2 else 0, ucd.normalize("NFC", chr(c)) == chr(c)))
    return out


def check_boundaries(table):
    """The segment rule in nfc.cpp: a composite that stays as it is begins with nothing that could compose backwards."""
    seconds = {second for _, _, second, composes in table if composes}
    firsts = {c: first for c, first, _, composes in table if composes}
    for c, first in firsts.items():
        while first in firsts:
            first = firsts[first]
        assert first not in seconds and ucd.combining(chr(first)) == 0, hex(c)


def main():
    assert ucd.unidata_version == "16.0.0", ucd.unidata_version
    table = decompositions()
    check_boundaries(table)
    print("// Written by tools/unicode/make_tables.py from Unicode 16.0.0 (classes) and its 9.0 subset (normalisation).\n")
    print('#include "text/unicode_tables.h"\n\nnamespace qhx::text {\nnamespace {\n')
    print_ranges("kLetters", [c for c in SCALARS if ucd.category(chr(c))[0] == "L"])
    print_ranges("kNumbers", [c for c in SCALARS if ucd.category(chr(c))[0] == "N"])
    print_ranges("kSpaces", SPACES)
    print("constexpr CombiningClassRange kCombiningClasses[] = {")
    print(",".join(f"{{0x{a:04X},0x{b:04X},{ccc}}}" for a, b, ccc in combining_classes()))
    print("};\n\nconstexpr Decomposition kDecompositions[] = {")
    print(",".join(f"{{0x{c:04X},0x{a:04X},0x{b:04X},{str(k).lower()}}}" for c, a, b, k in table))
    print("};\n\n}  // namespace\n")
    for kind, name in (("CodePointRange", "letters"), ("CodePointRange", "numbers"), ("CodePointRange", "spaces"),
                       ("CombiningClassRange", "combining_classes"), ("Decomposition", "decompositions")):
        constant = "k" + "".join(word.capitalize() for word in name.split("_"))
        print(f"std::span<const {kind}> unicode_{name}() {{ return {constant}; }}")
    print("\n}  // namespace qhx::text")


if __name__ == "__main__":
    sys.exit(main())
