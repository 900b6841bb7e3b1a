"""Which share of frames is coded as voice, by kind of sound: a table in Markdown.

    python scripts/mode_report.py AUDIO_FOLDER

The kind of a file is the folder it lies in.
"""

from collections import defaultdict
from pathlib import Path

import click
import numpy as np
import soundfile

import nac
from nac.errors import NacError


@click.command()
@click.argument("audio", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="Weights file.")
def main(audio: Path, model: Path | None) -> None:
    """Count frames of voice below the folder AUDIO, which has a folder for each kind of sound."""
    codec = nac.Codec.load(model, threads=1)
    found: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for path in sorted(audio.rglob("*")):
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            # The first code of a frame says what it is; further codes would only take time.
            codes = codec.encode_codes(samples.T[:2], rate, kbps=1)
        except (soundfile.LibsndfileError, IsADirectoryError):
            continue
        except NacError as error:
            raise SystemExit(f"{path}: {error}") from error
        is_voice = codes[0, 0] > 0
        found[path.parent.name].append((float(is_voice.mean()), int(np.count_nonzero(np.diff(is_voice)))))
    if not found:
        raise SystemExit(f"{audio} has no audio files that can be read")
    print("| kind | clips | share of voice | least | most | changes per clip |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for kind, rows in sorted(found.items()):
        shares, changes = np.array(rows).T
        cells = [kind, str(len(rows)), *(f"{x:.3f}" for x in (shares.mean(), shares.min(), shares.max()))]
        print(f"| {' | '.join(cells)} | {changes.mean():.1f} |")


if __name__ == "__main__":
    main()
