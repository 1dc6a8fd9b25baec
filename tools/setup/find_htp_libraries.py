#!/usr/bin/env python3
"""Prints the folder of the vendor's x86 QNN libraries if the package onnxruntime-qnn is installed, else nothing."""
import importlib.util
import os

spec = importlib.util.find_spec("onnxruntime_qnn")
if spec and spec.origin:
    folder = os.path.dirname(spec.origin)
    if os.path.exists(os.path.join(folder, "libQnnHtp.so")):
        print(folder)
