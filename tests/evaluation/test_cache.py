import math
from pathlib import Path

import numpy as np

from nac.evaluation.sweep.cache import Cache, audio_hash, key_of


def test_keys_tell_parts_apart() -> None:
    keys = [key_of("a", "b"), key_of("ab"), key_of("a", "b", None), key_of("a", 1), key_of("a", 1.5), key_of("b", "a")]
    assert len(set(keys)) == len(keys)
    assert key_of("a", 1) == key_of("a", 1)


def test_audio_hash_sees_samples_shape_and_rate() -> None:
    audio = np.arange(12, dtype=np.float32).reshape(1, 12)
    hashes = [
        audio_hash(a, r) for a, r in ((audio, 8000), (audio, 8001), (audio.reshape(2, 6), 8000), (audio + 1, 8000))
    ]
    assert len(set(hashes)) == 4


def test_values_come_back(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new" / "folder")
    assert cache.read("abc", "bin") is None and cache.read_json("abc") is None
    cache.write("abc", "bin", b"data")
    cache.write_json("abc", {"value": math.inf, "none": None})
    assert cache.read("abc", "bin") == b"data"
    assert cache.read_json("abc") == {"value": math.inf, "none": None}


def test_broken_or_unwritable_entries_are_not_there(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.write("abc", "json", b"{broken")
    assert cache.read_json("abc") is None
    cache.write("abc", "json", b"[1]")
    assert cache.read_json("abc") is None
    (tmp_path / "file").write_bytes(b"")
    blocked = Cache(tmp_path / "file")
    blocked.write("abc", "bin", b"data")
    assert blocked.read("abc", "bin") is None


def test_no_folder_keeps_nothing() -> None:
    cache = Cache(None)
    cache.write("abc", "bin", b"data")
    assert cache.read("abc", "bin") is None
