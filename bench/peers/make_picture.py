#!/usr/bin/env python3
"""make_picture.py OUT.png WIDTH HEIGHT: the fixed picture that every runtime is asked about. Needs numpy and pillow."""
import sys

import numpy as np
from PIL import Image

out, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
y, x = np.mgrid[0:height, 0:width]
pixels = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], -1)
pixels += np.random.default_rng(0).normal(0, 12, pixels.shape)
Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out)
