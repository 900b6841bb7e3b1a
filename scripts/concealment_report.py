"""How soon is the sound behind a gap what it would have been? A table over the length of the gap.

\b
    python scripts/concealment_report.py
    python scripts/concealment_report.py --kbps 12 speech.wav

Frames are lost at many places of a recording; the decode with the gap is compared with the undamaged one. Given is the
power of the difference beside that of the whole recording, in dB: the median over the places, and the worst; -100 dB
is none to speak of.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from nac.audio import Resampler, open_audio
from nac.cli.options import snap_kbps
from nac.codec import Codec
from nac.errors import NacError
from nac.models.streaming import FrameDecoder
from nac.synthetic import speech_like

#: Frames, of 20 ms, that are lost at a time.
GAPS = (1, 5, 50)
#: Frames behind the gap, from and to, over which the difference is measured.
SPANS = ((0, 5), (5, 10), (10, 20), (20, 40))


def recording(path: Path | None, rate: int, seconds: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Samples `[1, n]` of a file, its channels mixed, or of a made voice."""
    if path is None:
        return speech_like(int(seconds * rate), rate)[None]
    with open_audio(path) as reader:
        mono = np.concatenate(list(reader.blocks()), 1).mean(0, dtype=np.float32, keepdims=True)
        resampler = Resampler(reader.sample_rate, rate, 1)
        return np.concatenate([resampler.push(mono), resampler.flush()], 1)[:, : int(seconds * rate)]


@click.command(help=__doc__)
@click.argument("audio", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--kbps", default=6.0, show_default=True)
@click.option("--seconds", default=20.0, show_default=True, help="Use so much of the recording.")
@click.option("--model", help="Weights file to use instead of the one in the package.")
def main(audio: Path | None, kbps: float, seconds: float, model: str | None) -> None:
    try:
        codec = Codec.load(model)
        sound = recording(audio, codec.sample_rate, seconds)
        codes = codec.encode_codes(sound, codec.sample_rate, snap_kbps(kbps), "fast")[0]
    except NacError as error:
        raise click.ClickException(str(error)) from None
    hop, frames = codec.hop, codes.shape[1]
    whole = FrameDecoder(codec.model, 1).push([codes])[0]
    power = np.mean(whole**2)
    places = range(35, frames - max(GAPS) - SPANS[-1][1] - 1, 17)
    if len(places) == 0:
        raise click.ClickException("the recording is too short; give a few seconds")
    click.echo(f"Difference at {kbps:g} kbps, {len(places)} gaps of each length: median (worst)\n")
    times = [f"{20 * first} to {20 * last} ms behind" for first, last in SPANS]
    click.echo(f"| gap | {' | '.join(times)} |\n|{' --- |' * (len(SPANS) + 1)}")
    for gap in GAPS:
        rows = []
        for place in places:
            decoder = FrameDecoder(codec.model, 1)
            parts = [
                decoder.push([codes[:, :place]]),
                decoder.conceal(gap),
                decoder.push([codes[:, place + gap : place + gap + SPANS[-1][1] + 1]]),
            ]
            patched = np.concatenate(parts, 1)[0]
            # Frames overlap by half: the last one lost is heard until a hop after its own start.
            end = (place + gap) * hop
            wrong = patched[end:] - whole[end : len(patched)]
            rows.append(
                [10 * np.log10(np.mean(wrong[first * hop : last * hop] ** 2) / power + 1e-10) for first, last in SPANS]
            )
        cells = [
            f"{middle:.0f} dB ({worst:.0f})" for middle, worst in zip(np.median(rows, 0), np.max(rows, 0), strict=True)
        ]
        click.echo(f"| {20 * gap} ms | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
