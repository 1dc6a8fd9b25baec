#!/usr/bin/env python3
"""Writes pictures/: small files of every kind the decoders read, each with NAME.EXT.npy beside it: the RGB that Pillow
gives (EXIF orientation applied, transparency over white)."""
import io
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent / "pictures"
W, H = 23, 17
rng = np.random.default_rng(3)
yy, xx = np.mgrid[0:H, 0:W]
SMOOTH = np.stack([xx * 11, yy * 15, (xx + yy) * 6], -1).astype(np.uint8)
NOISE = rng.integers(0, 256, (H, W, 4), dtype=np.uint8)
NOISE[:3, :, 3], NOISE[3:6, :, 3] = 0, 255
INDEX = rng.integers(0, 16, (H, W), dtype=np.uint8)
PALETTE = rng.integers(0, 256, (256, 3), dtype=np.uint8)


def expected(data):
    im = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if im.mode in ("RGBA", "LA", "PA") or "transparency" in im.info:
        im = im.convert("RGBA")
        im = Image.alpha_composite(Image.new("RGBA", im.size, (255, 255, 255, 255)), im)
    return np.array(im.convert("RGB"))


def put(name, data, rgb=None):
    (HERE / name).write_bytes(data)
    np.save(HERE / (name + ".npy"), expected(data) if rgb is None else rgb)


def saved(im, **options):
    out = io.BytesIO()
    im.save(out, **options)
    return out.getvalue()


def exif(orientation):
    e = Image.Exif()
    e[0x0112] = orientation
    return e.tobytes()


# ---- JPEG
im = Image.fromarray(SMOOTH)
for o in range(1, 9):
    put(f"orientation{o}.jpg", saved(im, format="JPEG", quality=95, exif=exif(o)))
put("gray.jpg", saved(im.convert("L"), format="JPEG"))
put("progressive.jpg", saved(im, format="JPEG", progressive=True, subsampling=0))
put("cmyk.jpg", saved(im.convert("CMYK"), format="JPEG", quality=95))
put("rgb_components.jpg", saved(im, format="JPEG", keep_rgb=True, quality=95))
motorola = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
put("motorola.jpg", saved(im, format="JPEG", exif=motorola))


# ---- PNG
def pack(rows, depth):
    """Rows of samples [h, n] to bytes."""
    if depth == 16:
        return [r.astype(">u2").tobytes() for r in rows]
    if depth == 8:
        return [r.astype(np.uint8).tobytes() for r in rows]
    bits = ((rows[..., None] >> np.arange(depth - 1, -1, -1)) & 1).reshape(len(rows), -1).astype(np.uint8)
    return [np.packbits(b).tobytes() for b in bits]


def png(samples, depth, colour, interlace=False, extra=()):
    h, w = samples.shape[:2]
    flat = lambda a: a.reshape(a.shape[0], -1)
    passes = [(0, 0, 1, 1)]
    if interlace:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    raw = b""
    for x0, y0, dx, dy in passes:
        part = samples[y0::dy, x0::dx]
        if part.size:
            raw += b"".join(b"\0" + r for r in pack(flat(part), depth))
    chunk = lambda t, d: struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, int(interlace)))
            + b"".join(chunk(t, d) for t, d in extra) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


WIDE = rng.integers(0, 65536, (H, W, 4), dtype=np.uint16)
for d in (1, 2, 4, 8):
    put(f"gray{d}.png", png(NOISE[..., 0] >> (8 - d), d, 0))
    n = 1 << d
    put(f"palette{d}.png", png(NOISE[..., 0] >> (8 - d), d, 3, extra=[(b"PLTE", PALETTE[:n].tobytes())]))
put("palette_trns.png", png(INDEX, 8, 3, extra=[(b"PLTE", PALETTE[:16].tobytes()), (b"tRNS", bytes(range(0, 170, 17)))]))
put("gray_alpha.png", png(NOISE[..., 2:], 8, 4))
put("rgb.png", png(NOISE[..., :3], 8, 2))
put("rgba.png", png(NOISE, 8, 6))
put("rgb_interlaced.png", png(NOISE[..., :3], 8, 2, interlace=True))
put("rgba_interlaced.png", png(NOISE, 8, 6, interlace=True))
put("palette4_interlaced.png", png(INDEX, 4, 3, interlace=True, extra=[(b"PLTE", PALETTE[:16].tobytes())]))
put("rgb16.png", png(WIDE[..., :3], 16, 2))
put("rgba16.png", png(WIDE, 16, 6))
put("gray_alpha16.png", png(WIDE[..., 2:], 16, 4))
# Pillow clips 16-bit gray at 255, which turns photographs white; the upper byte is what its other modes take.
put("gray16.png", png(WIDE[..., 0], 16, 0), np.repeat((WIDE[..., :1] >> 8).astype(np.uint8), 3, -1))
key = NOISE[..., :3].copy()
key[4:9, 5:12] = (1, 2, 3)
put("rgb_key.png", png(key, 8, 2, extra=[(b"tRNS", struct.pack(">HHH", 1, 2, 3))]))
put("gray_key.png", png(INDEX, 8, 0, extra=[(b"tRNS", struct.pack(">H", 7))]))
put("exif.png", png(NOISE[..., :3], 8, 2, extra=[(b"eXIf", exif(6)[6:])]))

# ---- WebP
rgb, rgba = Image.fromarray(NOISE[..., :3].copy()), Image.fromarray(NOISE)
put("lossless.webp", saved(rgb, format="WEBP", lossless=True))
put("lossless_alpha.webp", saved(rgba, format="WEBP", lossless=True, exact=True))
put("lossy.webp", saved(im, format="WEBP", quality=80))
put("lossy_alpha.webp", saved(Image.fromarray(np.dstack([SMOOTH, NOISE[..., 3]])), format="WEBP", quality=80))
put("exif.webp", saved(rgb, format="WEBP", lossless=True, exif=exif(8)))
put("animated.webp", saved(rgb, format="WEBP", lossless=True, save_all=True, append_images=[im], duration=100))

# ---- GIF
pal = Image.fromarray(INDEX, "P")
pal.putpalette(PALETTE[:16].tobytes())
put("plain.gif", saved(pal, format="GIF", interlace=0))
put("interlaced.gif", saved(pal, format="GIF", interlace=1))
put("transparent.gif", saved(pal, format="GIF", transparency=5))
put("gray.gif", saved(im.convert("L"), format="GIF"))
put("animated.gif", saved(pal, format="GIF", save_all=True, append_images=[pal.transpose(Image.ROTATE_180)]))
for name, options in (("screen", {}), ("screen_transparent", dict(transparency=5))):
    data = bytearray(saved(pal, format="GIF", **options))
    data[6:10] = struct.pack("<HH", W + 6, H + 4)
    at = data.index(b",\0\0\0\0" + struct.pack("<HH", W, H))
    data[at + 1:at + 5] = struct.pack("<HH", 3, 2)
    put(name + ".gif", bytes(data))


# ---- BMP
def bmp(pixels, bits, compression=0, palette=b"", masks=b"", height=H, header=40, colours=0):
    info = struct.pack("<iiHHIIiiII", W, height, 1, bits, compression, len(pixels), 0, 0, colours, 0)
    if header == 12:
        info = struct.pack("<HHHH", W, height, 1, bits)
    info = struct.pack("<I", header) + info
    if header > 40:
        info = (info + masks).ljust(header, b"\0")
        masks = b""
    at = 14 + len(info) + len(masks) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) + info + masks + palette + pixels


def rows(samples, bits):
    packed = pack(samples.reshape(H, -1), bits) if bits <= 8 else [r.astype(f"<u{bits // 8}").tobytes() for r in samples]
    return b"".join(r + b"\0" * (-len(r) % 4) for r in packed[::-1])


PAL4 = np.dstack([PALETTE[None, :, ::-1], np.zeros((1, 256, 1), np.uint8)]).tobytes()
BGR = NOISE[..., 2::-1].reshape(H, -1)
W16 = rng.integers(0, 65536, (H, W), dtype=np.uint16)
W32 = rng.integers(0, 2 ** 32, (H, W), dtype=np.uint32)
m = lambda *v: struct.pack(f"<{len(v)}I", *v)
put("bits1.bmp", bmp(rows(INDEX >> 3, 1), 1, palette=PAL4[:8]))
put("bits4.bmp", bmp(rows(INDEX, 4), 4, palette=PAL4[:64]))
put("bits8.bmp", bmp(rows(NOISE[..., 0], 8), 8, palette=PAL4))
put("bits8_few.bmp", bmp(rows(INDEX, 8), 8, palette=PAL4[:64], colours=16))
put("bits16.bmp", bmp(rows(W16, 16), 16))
put("bits16_565.bmp", bmp(rows(W16, 16), 16, 3, masks=m(0xF800, 0x7E0, 0x1F)))
put("bits24.bmp", bmp(rows(BGR, 8), 24))
put("bits32.bmp", bmp(rows(W32, 32), 32))
put("bits32_fields.bmp", bmp(rows(W32, 32), 32, 3, masks=m(0xFF000000, 0xFF0000, 0xFF00)))
put("bits32_alpha.bmp", bmp(rows(W32, 32), 32, 3, header=56, masks=m(0xFF0000, 0xFF00, 0xFF, 0xFF000000)))
put("v5.bmp", bmp(rows(BGR, 8), 24, header=124))
put("os2.bmp", bmp(rows(NOISE[..., 0], 8), 8, header=12, palette=PALETTE[:, ::-1].tobytes()))
top_down = b"".join(r + b"\0" * (-len(r) % 4) for r in pack(BGR, 8))
put("top_down.bmp", bmp(top_down, 24, height=-H))


def rle8(samples):
    out = b""
    for y, row in enumerate(samples[::-1]):
        if y == 3:
            out += b"\0\2\5\0" + b"\7\x0b" + b"\0\0"                    # five to the right, a run, and leave the rest
        elif y == 5:
            out += b"\0\x17" + row.tobytes() + b"\0" + b"\0\0"          # literal, odd length with padding
        else:
            out += b"".join(bytes([1, v]) for v in row) + b"\0\0"
    return out + b"\0\1"


def rle4(samples):
    out = b""
    for row in samples[::-1]:
        out += bytes([5, row[0] << 4 | row[1]])
        rest = row[5:15]
        out += bytes([0, 10]) + bytes(int(a) << 4 | int(b) for a, b in zip(rest[::2], rest[1::2])) + b"\0"
        out += bytes([8, 0x5A]) + b"\0\0"
    return out + b"\0\1"


put("rle8.bmp", bmp(rle8(INDEX), 8, 1, palette=PAL4))
put("rle4.bmp", bmp(rle4(INDEX), 4, 2, palette=PAL4[:64]))
