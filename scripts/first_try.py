"""Encode and decode one recording and show what came of it: yours, or a sample that this script makes.

    python scripts/first_try.py [RECORDING] [--kbps 6]

Leaves sample.wav (if it made one), NAME.nac and NAME.decoded.wav in the current folder.
"""

from pathlib import Path

import click


@click.command()
@click.argument("recording", required=False, type=click.Path(path_type=Path))
@click.option("--kbps", default=6, show_default=True)
def main(recording: Path | None, kbps: int) -> None:
    """Encode and decode RECORDING."""
    import soundfile

    from nac.cli import main as nac
    from nac.synthetic import made_sound

    if recording is None:
        recording = Path("sample.wav")
        soundfile.write(recording, made_sound(5.0)[0], 24_000)
    coded, decoded = (Path(recording.stem + suffix) for suffix in (".nac", ".decoded.wav"))
    nac(["encode", str(recording), str(coded), "--kbps", str(kbps), "--force"], standalone_mode=False)
    nac(["decode", str(coded), str(decoded), "--force"], standalone_mode=False)
    nac(["info", str(coded)], standalone_mode=False)
    print(f"\nListen: {recording} and {decoded}")


if __name__ == "__main__":
    main()
