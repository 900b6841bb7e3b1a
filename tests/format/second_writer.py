"""A writer of `.nac` files made from FORMAT.md alone, with nothing of `nac`: what the package's reader is held to."""

import struct
import zlib


def crc(data):
    return struct.pack(">I", zlib.crc32(data))


def header(
    *,
    sample_rate,
    channels,
    samples,
    kbps,
    codebooks,
    fingerprint,
    model,
    frame_rate=50,
    bits=10,
    block_frames=50,
    coding=0,
    fields=(),
):
    metadata = struct.pack(">I", sample_rate)[1:]
    metadata += struct.pack(">B", channels)
    metadata += struct.pack(">Q", 2**40 - 1 if samples is None else samples)[3:]
    metadata += struct.pack(">BBBBBI", frame_rate, codebooks, bits, block_frames, coding, fingerprint)
    metadata += struct.pack(">B", len(model.encode())) + model.encode()
    for kind, value in fields:
        metadata += struct.pack(">BH", kind, len(value)) + value
    start = struct.pack(">3sBIB", b"NAC", 1, len(metadata) + 4, kbps) + metadata
    return start + crc(start)


def block(number, codes, bits, side_lag=None):
    """`codes` is a list of channels, each a list of codebooks, each a list of codes, one for each frame."""
    frames = max(len(codebook) for channel in codes for codebook in channel)
    digits = ""
    for frame in range(frames):
        for channel in codes:
            for codebook in channel:
                digits += format(codebook[frame], f"0{bits}b")
    while len(digits) % 8:
        digits += "0"
    payload = bytes(int(digits[place : place + 8], 2) for place in range(0, len(digits), 8))
    head = struct.pack(">B", frames) + (b"" if side_lag is None else struct.pack(">B", side_lag))
    return head + payload + crc(struct.pack(">I", number) + head + payload)


def end(blocks, samples):
    data = b"\0" + struct.pack(">Q", samples)[3:]
    return data + crc(struct.pack(">I", blocks) + data)


def frames(samples, sample_rate):
    at_model_rate = (samples * 24000 + sample_rate - 1) // sample_rate
    return 0 if samples == 0 else (at_model_rate + 479) // 480 + 1
