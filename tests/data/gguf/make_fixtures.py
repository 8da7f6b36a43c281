#!/usr/bin/env python3
"""Makes the small fixtures of this folder: make_fixtures.py FOLDER-OF-QUANTISED-FILES

FOLDER holds the files a-TYPE.gguf that bitnet.cpp's and ik_llama.cpp's quantisers made of tests/data/goldens/
bitnet_a_packed. Of TQ2_0 and the IQ types one layer is kept, byte for byte. floats.gguf and floats.npy are random
tensors of every type that the embedding may have, and what the gguf package dequantises them to; so are ternary.gguf
and ternary.npy for TQ1_0 and TQ2_0, with scales that differ from block to block.
"""
import os
import sys

import gguf
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
Type = gguf.GGMLQuantizationType


def write(path, tensors, alignment=32):
    """tensors: (name, dims fastest first, type number, bytes). The package refuses types of other programs."""
    def text(s):
        return len(s).to_bytes(8, "little") + s.encode()
    key = text("general.architecture") + (8).to_bytes(4, "little") + text("fixture")
    head = b"GGUF" + (3).to_bytes(4, "little") + len(tensors).to_bytes(8, "little") + (1).to_bytes(8, "little") + key
    pad = lambda n: (n + alignment - 1) // alignment * alignment
    offset = 0
    for name, dims, kind, data in tensors:
        head += text(name) + len(dims).to_bytes(4, "little") + b"".join(d.to_bytes(8, "little") for d in dims)
        head += kind.to_bytes(4, "little") + offset.to_bytes(8, "little")
        offset += pad(len(data))
    out = head.ljust(pad(len(head)), b"\0")
    for _, _, _, data in tensors:
        out += data.ljust(pad(len(data)), b"\0")
    open(path, "wb").write(out)


def infos(path):
    """name -> (dims, type, data up to the next tensor), by the description of the format."""
    data = open(path, "rb").read()
    at = 8
    def number(n):
        nonlocal at
        at += n
        return int.from_bytes(data[at - n:at], "little")
    def text():
        nonlocal at
        n = number(8)
        at += n
        return data[at - n:at].decode("utf-8", "replace")
    fixed = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    def skip(kind):
        nonlocal at
        if kind == 8:
            text()
        elif kind == 9:
            inner, count = number(4), number(8)
            for _ in range(count):
                skip(inner)
        else:
            at += fixed[kind]
    tensors, keys = number(8), number(8)
    for _ in range(keys):
        text()
        skip(number(4))
    found = []
    for _ in range(tensors):
        name = text()
        dims = [number(8) for _ in range(number(4))]
        found.append((name, dims, number(4), number(8)))
    begin = (at + 31) // 32 * 32
    ends = sorted(f[3] for f in found) + [len(data) - begin]
    return {n: (d, t, data[begin + o:begin + ends[ends.index(o) + 1]]) for n, d, t, o in found}


def keep_layer(source, target):
    layer = [(n, *v) for n, v in infos(source).items()
             if n.startswith("blk.0.") and "norm" not in n]
    write(os.path.join(here, target), layer)


def dequantised(kinds, rng):
    """Two rows of 512 values of each type, and their values in the order of `kinds`."""
    tensors, values = [], []
    for kind in kinds:
        x = rng.standard_normal((2, 512)).astype(np.float32)
        if kind in (Type.TQ1_0, Type.TQ2_0):
            x = np.sign(np.round(x)) * np.repeat(np.float32([[0.5, 0.25], [2, 0.125]]), 256, axis=1)
        if kind == Type.Q6_K:  # the package only reads it
            block = rng.integers(0, 256, (2, 2, 210), dtype=np.uint8)
            block[..., 208:210] = np.frombuffer(rng.uniform(-.1, .1, 4).astype(np.float16).tobytes(), np.uint8).reshape(2, 2, 2)
            q = block.reshape(2, 420)
        else:
            q = gguf.quants.quantize(x, kind)
        values.append(gguf.quants.dequantize(q, kind).astype(np.float32).reshape(2, 512))
        tensors.append((kind.name, [512, 2], int(kind), q.tobytes()))
    return tensors, np.concatenate(values)


folder = sys.argv[1]
for name in ("TQ2_0", "IQ1_BN", "IQ2_BN", "IQ2_BN_R4"):
    keep_layer(os.path.join(folder, f"a-{name}.gguf"), f"layer-{name}.gguf")
rng = np.random.default_rng(1)
for name, kinds in (("floats", (Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q6_K)),
                    ("ternary", (Type.TQ1_0, Type.TQ2_0))):
    tensors, values = dequantised(kinds, rng)
    write(os.path.join(here, name + ".gguf"), tensors)
    np.save(os.path.join(here, name + ".npy"), values)
