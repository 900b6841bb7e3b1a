import io
import subprocess
import sys
from dataclasses import replace

import pytest

from nac.errors import DamagedError, FormatError
from nac.format.check import MOST_LISTED, check
from tests.format.format_files import META, Pipe, make


@pytest.mark.parametrize("known", [True, False])
def test_a_sound_file(known, tmp_path):
    made = make(replace(META, sample_rate=48000, samples=96000 if known else None), samples=96000)
    path = tmp_path / "a.nac"
    path.write_bytes(made.data)
    for source in (path, str(path), io.BytesIO(made.data), Pipe(made.data, 100)):
        report = check(source)
        assert report.intact and report.damage == ()
        assert (report.version, report.metadata, report.kbps) == (1, made.meta, 6)
        assert (report.frames, report.lost_frames) == (101, 0)
        assert (report.intact_blocks, report.damaged_blocks) == (11, 0)
        assert (report.samples, report.duration) == (96000, 2.0)
        assert report.total_bytes == len(made.data)
        assert report.payload_bytes == 101 * 15
        assert report.payload_kbps == 101 * 15 * 8 / 2000
        assert report.total_kbps == len(made.data) * 8 / 2000


def test_damage_is_counted_and_placed():
    made = make(META)
    data = bytearray(made.data)
    data[made.position(1) + 3] ^= 1
    del data[made.position(3) + 3 : made.position(4) + 1]
    report = check(io.BytesIO(bytes(data) + b"abc"))
    assert not report.intact
    assert (report.intact_blocks, report.damaged_blocks) == (3, 3)
    assert (report.frames, report.lost_frames) == (51, 30)
    assert [report.damage_seconds(damage) for damage in report.damage] == [(0.18, 0.4), (0.58, 1.0), (1.02, 1.02)]
    assert report.total_bytes == len(data) + 3


def test_a_cut_file_of_unknown_length():
    made = make(replace(META, samples=None), samples=24000)
    report = check(io.BytesIO(made.data[: made.position(3)]))
    assert report.samples is None
    assert (report.frames, report.duration) == (30, 0.58)


def test_the_list_of_damage_is_bounded():
    made = make(replace(META, codebooks=1, block_frames=1, samples=480 * 2 * (MOST_LISTED + 5)))
    size = made.position(1) - made.position(0)
    data = bytearray(made.data)
    for index in range(0, len(made.blocks), 2):
        data[len(made.header) + index * size + 1] ^= 1
    report = check(io.BytesIO(bytes(data)))
    assert len(report.damage) == MOST_LISTED
    assert report.damaged_blocks == report.lost_frames == MOST_LISTED + 6


def test_version_0_is_explained():
    header = bytes.fromhex("4e414300 00000004 18 6e756c6c")
    for source in (io.BytesIO(header + bytes(156_000)), Pipe(header + bytes(156_000), 999)):
        report = check(source)
        assert (report.version, report.metadata, report.kbps) == (0, None, 24)
        assert (report.total_bytes, report.payload_bytes) == (156_013, 156_000)
        assert report.duration == 52.0
        assert report.payload_kbps == 24.0


def test_an_empty_signal_has_no_bit_rate():
    report = check(io.BytesIO(make(replace(META, samples=0)).data))
    assert report.intact
    assert report.payload_kbps is None and report.total_kbps is None


def test_what_cannot_be_checked():
    with pytest.raises(FormatError):
        check(io.BytesIO(b"RIFF"))
    with pytest.raises(DamagedError):
        check(io.BytesIO(make().data[:20]))


def test_checking_a_sound_file_imports_neither_torch_nor_numpy(tmp_path):
    # Importing them takes longer than the whole of `nac info` should.
    path = tmp_path / "a.nac"
    path.write_bytes(make().data)
    code = (
        "import sys; from nac.format.check import check; assert check(sys.argv[1]).intact; "
        "print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
