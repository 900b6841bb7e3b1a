"""What entropy coding saves, by kind of sound and bit rate, and what it costs in time: a table in Markdown.

    python scripts/entropy_report.py AUDIO_FOLDER

Every audio file below the folder is coded at 24 and at 1 kbps; files of 3, 6 and 12 kbps are cut from the first. The
kind of a file is the folder it lies in. Sizes are those of whole files, headers and checksums included.
"""

import io
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import click
import soundfile

import nac
from nac.errors import NacError
from nac.format.edit import reduce
from nac.format.entropy.tables import TableLibrary, tables_beside, tables_field
from nac.format.frames import FrameWriter, read_frames
from nac.format.header import read_header
from nac.format.layout import ENTROPY
from nac.packaged import table_library

RATES = (1, 3, 6, 12, 24)
#: Rate at which the use of the codebooks is counted.
USED_KBPS = 6


@click.command()
@click.argument("audio", type=click.Path(exists=True, path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="Weights file, with its tables beside it.")
@click.option("--effort", default="default", show_default=True, help="Of the encoder's search.")
def main(audio: Path, model: Path | None, effort: str) -> None:
    """Measure what entropy coding saves on the folder AUDIO, which has a folder for each kind of sound."""
    codec = nac.Codec.load(model, threads=1)
    field = tables_field(tables_beside(codec.path, codec.fingerprint))
    library = table_library(codec.path)
    sizes: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    spent: dict[str, float] = defaultdict(float)
    used: set[tuple[int, int]] = set()
    for path in sorted(audio.rglob("*")):
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, IsADirectoryError):
            continue
        samples = samples.T[:2]
        start = time.process_time()
        try:
            whole = codec.encode(samples, rate, kbps=max(RATES), effort=effort, entropy=False)
        except NacError as error:
            raise SystemExit(f"{path}: {error}") from error
        spent["encode"] += time.process_time() - start
        spent["seconds"] += samples.shape[1] / rate
        kind = path.parent.name
        used |= codes_used(library, cut(library, whole, USED_KBPS))
        for kbps in RATES:
            if kbps == min(RATES):
                packed = codec.encode(samples, rate, kbps=kbps, effort=effort, entropy=False)
            else:
                packed = cut(library, whole, kbps)
            start = time.process_time()
            coded = recode(library, packed, field)
            middle = time.process_time()
            if recode(library, coded, None) != packed:
                raise SystemExit(f"{path} at {kbps} kbps: entropy coding changed the codes")
            spent[f"code {kbps}"] += middle - start
            spent[f"read {kbps}"] += time.process_time() - middle
            for name in (kind, "all"):
                sizes[name, kbps][0] += len(packed)
                sizes[name, kbps][1] += len(coded)
    kinds = sorted({kind for kind, _ in sizes if kind != "all"})
    print("| kbps | " + " | ".join([*kinds, "all"]) + " | real kbps | encode, ms/s | decode, ms/s |")
    print("| --- |" + " --- |" * (len(kinds) + 4))
    for kbps in RATES:
        saved = [f"{1 - coded / packed:.1%}" for packed, coded in (sizes[kind, kbps] for kind in [*kinds, "all"])]
        real = sizes["all", kbps][1] * 8 / 1000 / spent["seconds"]
        cost = [f"{spent[f'{what} {kbps}'] / spent['seconds'] * 1000:.2f}" for what in ("code", "read")]
        print(f"| {kbps} | " + " | ".join([*saved, f"{real:.2f}", *cost]) + " |")
    share = len(used) / (2 * USED_KBPS * 1024)
    print(f"\ncodes of the first {2 * USED_KBPS} codebooks in use at {USED_KBPS} kbps: {share:.1%}")
    print(f"{spent['seconds']:.0f} s of audio; coding it at {max(RATES)} kbps took {spent['encode']:.0f} s")


def codes_used(library: TableLibrary, data: bytes) -> set[tuple[int, int]]:
    """Pairs of codebook and code that a file of one channel holds; none of a file of two."""
    source = io.BytesIO(data)
    meta = read_header(source)
    if meta.channels > 1:
        return set()
    return {
        (book, int(code))
        for frames in read_frames(source, meta, library)
        for book, codes in enumerate(frames.codes.T)
        for code in set(codes.tolist())
    }


def cut(library: TableLibrary, data: bytes, kbps: int) -> bytes:
    """A file with a lower bit rate."""
    target = io.BytesIO()
    reduce(io.BytesIO(data), target, kbps, tables=library)
    return target.getvalue()


def recode(library: TableLibrary, data: bytes, field: tuple[int, bytes] | None) -> bytes:
    """A file with its codes entropy coded with the tables that `field` names, or packed."""
    source, target = io.BytesIO(data), io.BytesIO()
    meta = read_header(source)
    changed = replace(meta, coding=ENTROPY if field else 0, extra=(field,) if field else ())
    writer = FrameWriter(target, changed, library)
    for frames in read_frames(source, meta, library):
        writer.push(frames)
    assert meta.samples is not None  # the files are made here, from sounds whose length is known
    writer.finish(meta.samples)
    return target.getvalue()


if __name__ == "__main__":
    main()
