"""Streams with little delay: blocks of any length, and two commands in a row that hold nothing back."""

import io
import re
import select
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import nac
from nac.cli import main
from nac.errors import OptionError
from nac.format.blocks import BlockReader
from nac.format.header import pack_header, read_header
from nac.format.layout import ENTROPY, ENTROPY_FROM, PACKED
from nac.synthetic import speech_like
from scripts.soak import wav_head
from tests.sounds import golden_sound

ROOT = Path(__file__).parents[1]


@lru_cache
def codec() -> nac.Codec:
    return nac.Codec.load()


@pytest.mark.parametrize("block_frames", [1, 2, 5, 50, 255])
@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_blocks_of_any_length_hold_the_same_frames(block_frames: int, rate: int) -> None:
    """Mono codes do not depend on blocks, but for ties that rounding decides."""
    samples = speech_like(rate, rate)[None]
    data = codec().encode(samples, rate, 6, "fast", entropy=False, block_frames=block_frames)
    stream = io.BytesIO(data)
    meta = read_header(stream)
    assert meta.block_frames == block_frames
    codes = np.concatenate([block.codes[0] for block in BlockReader(stream, meta)], 1)
    expected = codec().encode_codes(samples, rate, 6, "fast")[0]
    assert codes.shape == expected.shape and (codes == expected).mean() > 0.99
    assert codec().decode(data)[0].shape == samples.shape


def test_stereo_blocks_of_a_frame_come_back() -> None:
    samples = golden_sound("nac-24k-stereo")[0][:, :24_000]
    decoded, _ = codec().decode(codec().encode(samples, 24_000, 12, "fast", block_frames=1))
    usual, _ = codec().decode(codec().encode(samples, 24_000, 12, "fast"))
    assert decoded.shape == usual.shape
    power = [np.square(x - samples).sum() for x in (decoded, usual)]
    assert power[0] < 1.3 * power[1]  # each frame has a side lag of its own


@pytest.mark.parametrize("block_frames", [0, 256, 1.5])
def test_blocks_that_are_not_possible(block_frames: float) -> None:
    with pytest.raises(OptionError, match="block_frames"):
        nac.StreamEncoder(codec(), 24_000, 1, block_frames=block_frames)  # type: ignore[arg-type]


@pytest.mark.parametrize("block_frames", [1, 3, 4, 10])
def test_entropy_coding_is_left_out_where_it_would_cost(block_frames: int) -> None:
    samples, rate = golden_sound("nac-24k-mono")
    usual, packed, coded = (
        codec().encode(samples, rate, 6, "fast", entropy=entropy, block_frames=block_frames)
        for entropy in (None, False, True)
    )
    coding = read_header(io.BytesIO(usual)).coding
    assert coding == (ENTROPY if block_frames >= ENTROPY_FROM else PACKED)
    assert len(usual) == min(len(packed), len(coded))


def test_a_frame_sounds_as_soon_as_its_bytes_are_there() -> None:
    """60 ms, and not more, lie between a sample's way in and its way out."""
    samples = speech_like(24_000, 24_000)[None]
    encoder = nac.StreamEncoder(codec(), 24_000, 1, 6, "fast", block_frames=1)
    decoder = nac.StreamDecoder(codec(), live=True)
    given = 0
    for end in range(480, 24_001, 480):
        given += decoder.push(encoder.push(samples[:, end - 480 : end])).shape[1]
        # The sample at `given` has been waiting since three hops of 20 ms before `end` + 480.
        assert given == max(0, end - 2 * 480)
    assert given + decoder.push(encoder.flush()).shape[1] + decoder.flush().shape[1] == 24_000


@pytest.mark.parametrize("count", [1, 479, 480, 481, 961])
def test_a_live_stream_has_no_padding_where_its_end_comes_with_its_last_frame(count: int) -> None:
    encoder = nac.StreamEncoder(codec(), 24_000, 1, 6, "fast", block_frames=1)
    first = encoder.push(np.full((1, count), 0.1, np.float32))
    decoder = nac.StreamDecoder(codec(), live=True)
    parts = [decoder.push(first), decoder.push(encoder.flush()), decoder.flush()]
    assert sum(part.shape[1] for part in parts) == count


def test_block_and_live_on_the_command_line(small_weights: Path, tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "in.wav", speech_like(12_000, 24_000), 24_000)
    model = ["--model", str(small_weights)]
    for options, frames in ((["--block", "40ms"], 2), (["--live"], 1), (["--live", "--block", "0.1s"], 5), ([], 50)):
        done = CliRunner().invoke(
            main, ["encode", str(tmp_path / "in.wav"), str(tmp_path / "out.nac"), "-f", "-q", *options, *model]
        )
        assert done.exit_code == 0, done.output
        with open(tmp_path / "out.nac", "rb") as file:
            assert read_header(file).block_frames == frames
    done = CliRunner().invoke(main, ["decode", str(tmp_path / "out.nac"), "--live", "--start", "0.1", *model])
    assert done.exit_code == 2 and "live" in done.output and "Traceback" not in done.output
    for wrong in ("30ms", "2s", "0", "x", "nanms"):
        done = CliRunner().invoke(main, ["encode", str(tmp_path / "in.wav"), "--block", wrong, *model])
        assert done.exit_code == 2 and "is not a block" in done.output


@pytest.mark.slow
def test_two_commands_in_a_row_hold_nothing_back(small_weights: Path) -> None:
    """All frames that can be known come out while the input is still open; then the exact length."""
    command = [sys.executable, "-m", "nac"]
    options = ["-", "-", "--live", "--quiet", "--model", str(small_weights)]
    pcm = (speech_like(24_000, 24_000) * 32_767).astype("<i2").tobytes()
    with (
        subprocess.Popen([*command, "encode", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as encoder,
        subprocess.Popen(
            [*command, "decode", *options], stdin=encoder.stdout, stdout=subprocess.PIPE, bufsize=0
        ) as decoder,
    ):
        assert encoder.stdin is not None and encoder.stdout is not None and decoder.stdout is not None
        encoder.stdout.close()
        encoder.stdin.write(wav_head(24_000, 1) + pcm[: 2 * 480 * 10])
        encoder.stdin.flush()
        got = b""
        while len(got) < 44 + 2 * 480 * 9 and select.select([decoder.stdout], [], [], 120)[0]:
            got += decoder.stdout.read(1 << 16)
        assert len(got) == 44 + 2 * 480 * 9
        encoder.stdin.write(pcm[2 * 480 * 10 : 2 * 480 * 20 + 200])
        encoder.stdin.close()
        while piece := decoder.stdout.read(1 << 16):
            got += piece
        assert len(got) == 44 + 2 * 480 * 20 + 200
    assert (encoder.returncode, decoder.returncode) == (0, 0)


def test_what_blocks_cost_is_told() -> None:
    """The packed column is arithmetic: 1 byte of frames, 4 of checksum, the codes."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.block_report", "--seconds", "2"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    rows = dict(re.findall(r"\| (\d+m?s) \| ([\d.]+) \|", done.stdout))
    assert rows == {"20ms": "8.00", "40ms": "7.00", "60ms": "6.67", "100ms": "6.40", "200ms": "6.20", "1s": "6.04"}
    meta = nac.Metadata(24_000, 1, None, 6, 12, 7, "m", block_frames=1)
    data = codec().encode(speech_like(24_000, 24_000), 24_000, 6, "fast", block_frames=1)
    assert len(data) - len(pack_header(meta)) == 51 * 20 + len("nac-24k") - len("m")


@pytest.mark.slow
def test_the_delay_is_measured_from_outside(small_weights: Path) -> None:
    """How long it takes depends on the machine; that it is told, and nothing lost, does not."""
    model = f"--model {small_weights}"
    limits = ["--seconds", "1", "--most", "60000", "--buffer", "60000"]
    done = subprocess.run(
        [sys.executable, "-m", "scripts.live_latency", *limits, "--encode", model, "--decode", model],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "24000 samples in, 24000 out" in done.stdout and re.search(r"\| 99 % \| \d+ \|", done.stdout)
