"""Make the golden files of the packaged weights anew: `python -m tests.golden_files`.

For new weights that give codes another meaning, and for nothing else: what is released must decode for ever.
"""

from pathlib import Path

import nac
from tests.format.test_golden_bytes import write_description
from tests.sounds import GOLDEN_KBPS, golden_sound

GOLDEN = Path(__file__).parent / "golden"


def main() -> None:
    codec = nac.Codec.load()
    for name, kbps in GOLDEN_KBPS.items():
        path = GOLDEN / f"{name}.nac"
        samples, rate = golden_sound(name)
        path.write_bytes(codec.encode(samples, rate, kbps, tags={"TITLE": name}))
        write_description(path)
        print(f"{path}: {path.stat().st_size} bytes, weights {codec.fingerprint:08x}")


if __name__ == "__main__":
    main()
