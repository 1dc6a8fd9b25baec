#!/usr/bin/env python3
"""Writes the golden numbers beside this file, from torch, torchvision and transformers.

resize_goldens.txt       width height new_width new_height kind seed sha256: pictures by hash_picture(), resized by
                         torchvision (bicubic, antialias, uint8 on CPU)
smart_resize_goldens.txt width height factor min max new_width new_height ("0 0": refused)
frequency_goldens.txt    theta dim, then the bits of the inverse frequencies as torch computes them
"""
import hashlib
import pathlib
import struct

import numpy as np
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

HERE = pathlib.Path(__file__).parent
M = 0xFFFFFFFF


def hash_picture(width, height, kind, seed):
    """Noise from an integer hash of the byte's place (kind 0), or its top bit alone: hard edges (kind 1)."""
    s = (np.arange(width * height * 3, dtype=np.uint64) * 2654435761 + seed * 40503) & M
    s ^= s >> 15
    s = (s * 2246822519) & M
    s ^= s >> 13
    b = ((s >> 16) & 255).astype(np.uint8)
    return (b if kind == 0 else np.where(b >= 128, 255, 0).astype(np.uint8)).reshape(height, width, 3)


def resize(picture, width, height):
    t = torch.from_numpy(picture).permute(2, 0, 1).contiguous()[None]
    t = F.resize(t, [height, width], interpolation=InterpolationMode.BICUBIC, antialias=True)
    return t[0].permute(1, 2, 0).contiguous().numpy()


SIZES = [(64, 48, 32, 32), (31, 17, 64, 64), (100, 75, 96, 64), (48, 48, 48, 96), (48, 48, 96, 48), (33, 57, 33, 57),
         (1, 1, 7, 5), (2, 3, 64, 64), (200, 1, 32, 32), (1, 200, 32, 32), (640, 480, 512, 512), (300, 217, 320, 224),
         (1333, 901, 1344, 896), (1600, 40, 8, 8), (40, 1600, 8, 8), (7, 5, 2, 2), (511, 513, 512, 512),
         (4000, 300, 512, 512), (65, 64, 64, 64), (64, 65, 64, 64), (16, 16, 800, 3), (3, 900, 800, 16)]

with open(HERE / "resize_goldens.txt", "w") as out:
    for i, (w, h, w2, h2) in enumerate(SIZES):
        for kind in (0, 1):
            done = resize(hash_picture(w, h, kind, i), w2, h2)
            print(w, h, w2, h2, kind, i, hashlib.sha256(done.tobytes()).hexdigest(), file=out)

with open(HERE / "smart_resize_goldens.txt", "w") as out:
    rng = np.random.default_rng(5)
    cases = [(512, 512), (700, 480), (300, 217), (1333, 901), (64, 64), (1, 1), (1, 200), (1, 201), (16, 3000),
             (80, 48), (48, 80), (20000, 300), (5000, 4000), (112, 400), (6000, 6000)]
    cases += [(int(a), int(b)) for a, b in np.exp(rng.uniform(0, 9, (60, 2)))]
    for w, h in cases:
        for factor, lo, hi in ((32, 65536, 16777216), (28, 3136, 1003520)):
            try:
                h2, w2 = smart_resize(h, w, factor=factor, min_pixels=lo, max_pixels=hi)
            except ValueError:
                h2 = w2 = 0
            print(w, h, factor, lo, hi, w2, h2, file=out)

with open(HERE / "frequency_goldens.txt", "w") as out:
    for theta, dim in ((5000000, 128), (5000000, 64), (5000000, 32), (10000, 32), (10000, 16), (10000, 36), (1e6, 128)):
        f = 1.0 / (theta ** (torch.arange(0, dim, 2, dtype=torch.float) / dim))
        print(theta, dim, *(struct.pack(">f", x).hex() for x in f.tolist()), file=out)
