"""Encode and decode one recording and show what came of it: yours, or a sample that this script makes.

    python scripts/first_try.py [RECORDING] [--kbps 6]

Leaves sample.wav (if it made one), NAME.nac and NAME.decoded.wav in the current folder.
"""

from pathlib import Path

import click
import numpy as np


def sample(seconds: float = 5.0, rate: int = 24_000) -> np.ndarray:
    """A voice-like sound: gliding harmonics through moving resonances, with breath noise; float32 `[samples]`."""
    from scipy.signal import lfilter

    rng = np.random.default_rng(1)
    time = np.arange(int(seconds * rate)) / rate
    pitch = 130 * 2 ** (0.3 * np.sin(2 * np.pi * 0.4 * time))
    pulses = np.diff(np.floor(np.cumsum(pitch) / rate), prepend=0.0)
    syllables = np.clip(np.sin(2 * np.pi * 1.7 * time), 0, None) ** 0.5
    source = pulses + 0.02 * rng.standard_normal(len(time))
    out = np.zeros(len(time))
    step = rate // 20
    state = [np.zeros(2) for _ in range(3)]
    for start in range(0, len(time), step):
        at = time[start]
        block = source[start : start + step]
        formants = (500 + 250 * np.sin(2.1 * at), 1500 + 500 * np.sin(1.3 * at), 2500 + 200 * np.sin(0.7 * at))
        for i, formant in enumerate(formants):
            radius = np.exp(-np.pi * (60 + 40 * i) / rate)
            poles = [1, -2 * radius * np.cos(2 * np.pi * formant / rate), radius**2]
            part, state[i] = lfilter([1 - radius], poles, block, zi=state[i])
            out[start : start + step] += part / (i + 1)
    out *= syllables
    return (0.5 * out / np.abs(out).max()).astype(np.float32)


@click.command()
@click.argument("recording", required=False, type=click.Path(path_type=Path))
@click.option("--kbps", default=6, show_default=True)
def main(recording: Path | None, kbps: int) -> None:
    """Encode and decode RECORDING."""
    import soundfile

    from nac.cli import main as nac

    if recording is None:
        recording = Path("sample.wav")
        soundfile.write(recording, sample(), 24_000)
    coded, decoded = (Path(recording.stem + suffix) for suffix in (".nac", ".decoded.wav"))
    nac(["encode", str(recording), str(coded), "--kbps", str(kbps), "--force"], standalone_mode=False)
    nac(["decode", str(coded), str(decoded), "--force"], standalone_mode=False)
    nac(["info", str(coded)], standalone_mode=False)
    print(f"\nListen: {recording} and {decoded}")


if __name__ == "__main__":
    main()
