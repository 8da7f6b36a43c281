#!/usr/bin/env python3
"""Trits and scales of the golden models by numpy, independently of Bittern: what hf_model_test compares with.
usage: make_weights.py   (in this folder; needs numpy; writes <model>.json for each model below)"""
import hashlib
import json
import struct
from pathlib import Path

import numpy as np

GOLDENS = Path(__file__).resolve().parent.parent / "goldens"


def read(path):
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            yield name, entry["dtype"], entry["shape"], raw[8 + length + begin : 8 + length + end]


def bf16(data):
    return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)


for model in ("bitnet_a_packed", "bitnet_a_bf16"):
    tensors = {name: (dtype, shape, data) for name, dtype, shape, data in read(GOLDENS / model / "model.safetensors")}
    out = {}
    for name, (dtype, shape, data) in sorted(tensors.items()):
        if not name.endswith("_proj.weight"):
            continue
        if dtype == "U8":  # row r of the file holds output rows r, r + n, r + 2n and r + 3n
            packed = np.frombuffer(data, np.uint8).reshape(shape)
            trits = np.concatenate([((packed >> (2 * i)) & 3).astype(np.int8) - 1 for i in range(4)])
            scale = float(bf16(tensors[name + "_scale"][2])[0])
        else:
            weights = bf16(data).reshape(shape)
            inverse = np.float32(1) / np.maximum(np.float32(np.abs(weights.astype(np.float64)).mean()), np.float32(1e-5))
            trits = np.clip(np.rint(weights * inverse), -1, 1).astype(np.int8)
            scale = float(np.float32(1) / inverse)
        norm = float(np.sqrt((trits.astype(np.float64) ** 2).sum()) * scale)
        out[name] = {"shape": list(trits.shape), "scale": scale, "dequantised_norm": norm,
                     "trits_sha256": hashlib.sha256(trits.tobytes()).hexdigest()}
    Path(__file__).with_name(model + ".json").write_text(json.dumps(out, indent=0) + "\n")
