"""A writer and a reader of entropy coded payloads made from ENTROPY.md alone, with nothing of `nac`: what the package
is held to. Slow, and for small blocks.

Codes are a list of channels, each a list of codebooks, each a list of codes, one for each frame. `tables` holds arrays
by name, as the tables file does.
"""

ENDS = {1: (), 2: (6, 12, 24)}


def split(codebooks, lag):
    """`lag` is None for mono."""
    side = 0 if lag is None else max(0, codebooks - lag) // 2
    return [codebooks - side] if lag is None else [codebooks - side, side]


def sections(coding, codebooks, lag):
    """The codebooks of each section, as (channel, codebook), in order."""
    found, before = [], [0, 0]
    for end in [*(end for end in ENDS[coding] if end < codebooks), codebooks]:
        now = split(end, lag)
        found.append([(channel, k) for channel, count in enumerate(now) for k in range(before[channel], count)])
        before = now
    return found


def rows(tables, symbols, k, t, frames, bits):
    """(table, row) for each context of codebook k in frame t; `symbols` are those of the channel by codebook."""

    def neighbour(c, d, table):
        whole = len(table) - 1
        shift = bits - (whole.bit_length() - 1)
        return symbols[c][t + d] >> shift if 0 <= t + d < frames else whole

    def scale(distances, table):
        books = range(max(1, k - 8), k)
        total = sum(symbols[c][min(max(t + d, 0), frames - 1)] >> (bits - 4) for c in books for d in distances)
        return total * 32 // (15 * len(books) * len(distances) + 1)

    if k == 0:
        contexts = [(neighbour, 0, -1), (neighbour, 0, -1), (neighbour, 0, -2), (neighbour, 0, -3)]
    else:
        contexts = [(neighbour, 0, 0), (neighbour, 0, -1), (neighbour, 0, 1), (neighbour, k, -1)]
    if k >= 2:
        contexts += [(neighbour, 1, 0), (scale, (0,)), (scale, (-1, 1))]
    if k >= 3:
        contexts.append((neighbour, k - 1, 0))
    for number, (kind, *where) in enumerate(contexts):
        table = tables[f"{k}.{number}"]
        yield table, kind(*where, table)


def probability(tables, k, found, node):
    total = int(tables[f"{k}.bias"][node])
    for table, row in found:
        if node < table.shape[1]:
            total += int(table[row][node])
    return int(tables["probability"][total % 2304])


def packed(section, codes, frames, bits):
    digits = "".join(format(codes[channel][k][t], f"0{bits}b") for t in range(frames) for channel, k in section)
    digits += "0" * (-len(digits) % 8)
    return bytes(int(digits[place : place + 8], 2) for place in range(0, len(digits), 8))


class RangeWriter:
    def __init__(self):
        self.start, self.size, self.written, self.count = 0, 2**32 - 1, 0, 0

    def put(self):
        if self.start >= 2**32:
            self.start -= 2**32
            self.written += 1
        self.written = self.written * 256 + (self.start >> 24)
        self.count += 1

    def decide(self, p, decision):
        one = (self.size >> 14) * p
        if decision:
            self.size = one
        else:
            self.start += one
            self.size -= one
        while self.size < 2**24:
            self.put()
            self.start = (self.start % 2**24) << 8
            self.size <<= 8

    def end(self):
        self.start += 2**24 - 1
        self.put()
        return self.written.to_bytes(self.count, "big").rstrip(b"\0")


class RangeReader:
    def __init__(self, data):
        if data[-1:] == b"\0" or data[:4] == b"\xff" * 4:
            raise ValueError("no coder writes this")
        self.data, self.place = data, 4
        self.value, self.size = int.from_bytes(data[:4].ljust(4, b"\0"), "big"), 2**32 - 1

    def decide(self, p):
        one = (self.size >> 14) * p
        decision = self.value < one
        if decision:
            self.size = one
        else:
            self.value -= one
            self.size -= one
        while self.size < 2**24:
            self.value = self.value << 8 | (self.data[self.place] if self.place < len(self.data) else 0)
            self.size <<= 8
            self.place += 1
        return int(decision)

    def end(self):
        if len(self.data) > self.place - 4 + 1:
            raise ValueError("bytes are left over")


def write_payload(tables, coding, codes, lag=None):
    """The payload of a block."""
    bits = tables["ranks"].shape[1].bit_length() - 1
    symbols = [
        [[int(tables["ranks"][k][code]) for code in codebook] for k, codebook in enumerate(channel)]
        for channel in codes
    ]
    frames, parts = len(codes[0][0]), []
    for section in sections(coding, sum(map(len, codes)), lag):
        coder = RangeWriter()
        for channel, k in section:
            for t in range(frames):
                found, node = list(rows(tables, symbols[channel], k, t, frames, bits)), 1
                for bit in range(bits - 1, -1, -1):
                    decision = symbols[channel][k][t] >> bit & 1
                    coder.decide(probability(tables, k, found, node), decision)
                    node = 2 * node + decision
        data, plain = coder.end(), packed(section, codes, frames, bits)
        parts.append(data if len(data) < len(plain) else plain)
    return b"".join(len(part).to_bytes(2, "big") for part in parts[:-1]) + b"".join(parts)


def read_payload(tables, coding, data, codebooks, frames, lag=None):
    """The codes of a block. Raises ValueError for a damaged payload."""
    size = tables["ranks"].shape[1]
    bits = size.bit_length() - 1
    cut = sections(coding, codebooks, lag)
    head = 2 * (len(cut) - 1)
    if len(data) < head:
        raise ValueError("too short for its lengths")
    lengths = [int.from_bytes(data[place : place + 2], "big") for place in range(0, head, 2)]
    lengths.append(len(data) - head - sum(lengths))
    if lengths[-1] < 0:
        raise ValueError("lengths that do not fit")
    codes = [[[0] * frames for _ in range(count)] for count in split(codebooks, lag)]
    symbols = [[[0] * frames for _ in range(count)] for count in split(codebooks, lag)]
    place = head
    for section, length in zip(cut, lengths, strict=True):
        part = data[place : place + length]
        place += length
        plain = (frames * len(section) * bits + 7) // 8
        if length > plain:
            raise ValueError("longer than packed codes")
        if length == plain:
            digits = "".join(format(byte, "08b") for byte in part)
            if "1" in digits[frames * len(section) * bits :]:
                raise ValueError("padding")
            for t in range(frames):
                for number, (channel, k) in enumerate(section):
                    at = (t * len(section) + number) * bits
                    codes[channel][k][t] = int(digits[at : at + bits], 2)
                    symbols[channel][k][t] = int(tables["ranks"][k][codes[channel][k][t]])
            continue
        coder = RangeReader(part)
        for channel, k in section:
            code_of = {int(symbol): code for code, symbol in enumerate(tables["ranks"][k])}
            for t in range(frames):
                found, node = list(rows(tables, symbols[channel], k, t, frames, bits)), 1
                for _ in range(bits):
                    node = 2 * node + coder.decide(probability(tables, k, found, node))
                symbols[channel][k][t] = node - size
                codes[channel][k][t] = code_of[node - size]
        coder.end()
    return codes
