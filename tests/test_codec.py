"""Audio to bytes and back: lengths, rates, channels, levels, cuts, damage."""

import io
import os
import select
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nac
from nac.block_decoder import BlockDecoder
from nac.errors import AudioError, FormatError, OptionError, WeightsError
from nac.format.blocks import Block, BlockReader
from nac.format.edit import reduce
from nac.format.header import pack_header, read_header
from nac.models.weights import load_model, save_model
from nac.synthetic import speech_like
from tests.cli_tools import nac_bytes
from tests.conftest import small_model


@pytest.fixture(scope="module")
def codec(small_weights: Path) -> nac.Codec:
    return nac.Codec.load(small_weights)


def sound(channels: int, samples: int, rate: int = 24_000) -> np.ndarray:
    return np.stack([speech_like(samples, rate, seed=i) for i in range(channels)])


def stereo(side: float, samples: int) -> np.ndarray:
    """`[2, samples]` with a side of such a level, relative to mid."""
    middle, other = speech_like(samples, seed=1), side * speech_like(samples, seed=2)[::-1]
    return np.stack([middle + other, middle - other]) / 2


def blocks_of(data: bytes) -> list[Block]:
    stream = io.BytesIO(data)
    blocks = list(BlockReader(stream, read_header(stream)))
    return [block for block in blocks if isinstance(block, Block)]


@settings(deadline=None, max_examples=40)
@given(
    samples=st.integers(0, 1500),
    channels=st.integers(1, 2),
    kbps=st.sampled_from([1, 2, 6, 24]),
    rate=st.sampled_from([8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000]),
)
def test_every_length_comes_back(codec: nac.Codec, samples: int, channels: int, kbps: int, rate: int) -> None:
    data = codec.encode(sound(channels, samples, rate), rate, kbps, effort="fast")
    decoded, out_rate = codec.decode(data)
    assert decoded.shape == (channels, samples) and out_rate == rate
    assert np.isfinite(decoded).all()


@settings(deadline=None, max_examples=20)
@given(
    sizes=st.lists(st.integers(1, 9000), max_size=6),
    channels=st.integers(1, 2),
    rate=st.sampled_from([16_000, 24_000, 44_100]),
    kbps=st.sampled_from([1, 6]),
)
def test_any_cut_gives_the_same_file(codec: nac.Codec, sizes: list[int], channels: int, rate: int, kbps: int) -> None:
    samples = sound(channels, 30_000, rate)
    stream = nac.StreamEncoder(codec, rate, channels, kbps, samples=samples.shape[1])
    edges = np.cumsum([0, *sizes])
    data = b"".join(stream.push(samples[:, a:b]) for a, b in zip(edges, [*edges[1:], None], strict=True))
    assert data + stream.flush() == codec.encode(samples, rate, kbps)


def test_blocks_decode_as_the_whole(codec: nac.Codec) -> None:
    samples = sound(2, 100_000, 44_100)
    data = codec.encode(samples, 44_100, 8)
    stream = io.BytesIO(data)
    decoder = BlockDecoder(codec, read_header(stream))
    parts = [decoder.push(item) for item in BlockReader(stream, decoder.metadata)] + [decoder.flush()]
    whole = codec.decode(data)[0]
    joined = np.concatenate(parts, 1)
    np.testing.assert_array_equal(joined, whole)


@pytest.mark.parametrize(("kbps", "share"), [(1, 1.05), (2, 1.05), (6, 1.02), (12, 1.02), (24, 1.02)])
def test_the_label_is_true(codec: nac.Codec, kbps: int, share: float) -> None:
    data = codec.encode(sound(1, 240_000), 24_000, kbps, effort="fast", entropy=False)
    rate = len(data) * 8 / 10
    assert kbps * 1000 <= rate < kbps * 1000 * share
    stereo = codec.encode(sound(2, 240_000), 24_000, 6, effort="fast")
    assert len(stereo) * 8 / 10 < 6000 * 1.03


@pytest.mark.parametrize("name", ["silence", "constant", "one sample", "over full scale", "far over", "impulse"])
def test_unusual_signals(codec: nac.Codec, name: str) -> None:
    signals = {
        "silence": np.zeros(5000),
        "constant": np.full(5000, 0.7),
        "one sample": np.ones(1),
        "over full scale": speech_like(5000) * 20,
        "far over": np.full(5000, 1e30),
        "impulse": np.eye(1, 5000, 2400)[0],
    }
    signal = signals[name].astype(np.float32)
    decoded = codec.decode(codec.encode(signal, 24_000, 6))[0]
    assert decoded.shape == (1, len(signal)) and np.isfinite(decoded).all()


def test_silence_stays_silent(codec: nac.Codec) -> None:
    """Zero codes are not silence: what comes of silent input is, in the shipped model and in any other, quiet."""
    model = small_model()
    with torch.inference_mode():
        silent = model.synthesise(torch.zeros(1, 20, model.config.latent_dim), torch.zeros(1, 20, dtype=torch.long))
    assert float(silent.abs().max()) < 1e-2


def test_codes_have_the_stated_shape(codec: nac.Codec) -> None:
    codes = codec.encode_codes(sound(2, 24_000), 24_000, kbps=6)
    assert codes.shape == (2, 12, 51)
    assert codes.min() >= -1 and codes.max() < 1024
    assert ((codes >= 0).sum((0, 1)) == 12).all()
    audio = codec.decode_codes(codes)
    assert audio.shape == (2, 24_000)
    reference, _ = codec.decode(codec.encode(sound(2, 24_000), 24_000, kbps=6))
    np.testing.assert_allclose(audio, reference, atol=1e-5)


def test_tags_and_model_are_kept(codec: nac.Codec) -> None:
    data = codec.encode(sound(1, 500), 24_000, 3, tags=(("TITLE", "Öl"), ("TITLE", "2")))
    metadata = read_header(io.BytesIO(data))
    assert metadata.tags == (("TITLE", "Öl"), ("TITLE", "2"))
    assert (metadata.model, metadata.fingerprint) == ("small", codec.fingerprint)


@pytest.mark.parametrize("kbps", [0, 25, 1.5, -3, float("nan"), float("inf"), "6", None])
def test_unknown_rates_are_refused(codec: nac.Codec, kbps: float) -> None:
    with pytest.raises(OptionError):
        codec.encode(sound(1, 100), 24_000, kbps)  # type: ignore[arg-type]


def test_whole_numbers_of_numpy_and_whole_floats_are_taken(codec: nac.Codec) -> None:
    samples = sound(1, 1000, 16_000)
    expected = codec.encode(samples, 16_000, 6, effort=2)
    assert codec.encode(samples, np.int64(16_000), np.uint8(6), effort=np.int32(2)) == expected  # type: ignore[arg-type]
    assert codec.encode(samples, 16_000, 6.0, effort=2) == expected  # type: ignore[arg-type]


def test_standard_output_gets_the_bytes_of_a_file(
    codec: nac.Codec, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The length of a file is known before it is read, so that the header can state it."""
    soundfile.write(tmp_path / "a.wav", sound(1, 30_000).T, 24_000)
    codec.encode_file(tmp_path / "a.wav", tmp_path / "a.nac", effort="fast")
    codec.encode_file(tmp_path / "a.wav", "-", effort="fast")
    assert capsysbinary.readouterr().out == (tmp_path / "a.nac").read_bytes()


def test_another_length_than_announced_is_refused(codec: nac.Codec) -> None:
    for announced in (900, 1100):
        stream = nac.StreamEncoder(codec, 24_000, 1, samples=announced, entropy=False)
        stream.push(sound(1, 1000))
        with pytest.raises(AudioError, match=f"1000 samples instead of the {announced}"):
            stream.flush()


@pytest.mark.parametrize("bad", [np.zeros((3, 10)), np.zeros((1, 2, 3)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_bad_audio_is_refused(codec: nac.Codec, bad: np.ndarray) -> None:
    with pytest.raises(AudioError):
        codec.encode(bad, 24_000)


@pytest.mark.parametrize("effort", ["slow", 0, 65, "-1", 2.7, float("nan"), float("inf"), None])
def test_unknown_efforts_are_refused(codec: nac.Codec, effort: str | int) -> None:
    with pytest.raises(OptionError):
        codec.encode(sound(1, 100), 24_000, effort=effort)


def test_other_weights_are_refused(codec: nac.Codec, tmp_path: Path) -> None:
    save_model(small_model(seed=9, codebook_size=1024), tmp_path / "other.safetensors", generation=0)
    other = nac.Codec.load(tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="other weights"):
        other.decode(codec.encode(sound(1, 1000), 24_000))
    with pytest.raises(FormatError):
        codec.decode(b"RIFFxxxx")


@pytest.mark.parametrize(("fingerprint", "told"), [
    (0xE83A7807, r"e83a7807; these .*; decode it with nac==0\.1\.0, .*\(generation 2\), or give them with --model$"),
    (0x00000007, r"00000007; these .*; give those weights with --model$"),
])  # fmt: skip
def test_files_of_other_weights_tell_what_decodes_them(codec: nac.Codec, fingerprint: int, told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        codec.decode(nac_bytes(fingerprint=fingerprint))


def test_a_new_decoder_reads_old_files(codec: nac.Codec, tmp_path: Path) -> None:
    """Files are tied to the codebooks, not to the decoder, which may be trained on."""
    model, _ = load_model(codec.path)
    with torch.no_grad():
        model.decoder.gain.bias.add_(0.01)
    save_model(model, tmp_path / "new.safetensors", generation=4)
    newer = nac.Codec.load(tmp_path / "new.safetensors")
    assert newer.fingerprint == codec.fingerprint and newer.generation == 4
    data = codec.encode(sound(1, 5000), 24_000)
    assert newer.decode(data)[0].shape == (1, 5000)


def test_files_and_damage(codec: nac.Codec, tmp_path: Path) -> None:
    samples = sound(1, 5 * 24_000)
    soundfile.write(tmp_path / "a.wav", samples.T, 24_000, "FLOAT")
    metadata = codec.encode_file(tmp_path / "a.wav", tmp_path / "a.nac", kbps=6)
    assert metadata.samples == 5 * 24_000
    data = bytearray((tmp_path / "a.nac").read_bytes())
    assert bytes(data) == codec.encode(samples, 24_000, 6)
    report = codec.decode_file(tmp_path / "a.nac", tmp_path / "good.wav", subtype="float")
    assert report.damage == [] and report.samples == 5 * 24_000
    block = 750 + 5
    start = len(data) - 5 * block - (4 + 1 + 15)
    data[start + 2 * block + 100] ^= 0x10
    (tmp_path / "bad.nac").write_bytes(data)
    report = codec.decode_file(tmp_path / "bad.nac", tmp_path / "bad.wav", subtype="float")
    assert [item.first_frame for item in report.damage] == [100]
    assert report.damaged_times == [(1.98, 3.0)]
    good, bad = (soundfile.read(tmp_path / name)[0] for name in ("good.wav", "bad.wav"))
    assert len(bad) == len(good)
    np.testing.assert_allclose(good[:47_000], bad[:47_000], atol=1e-6)
    np.testing.assert_allclose(good[90_000:], bad[90_000:], atol=1e-3)


@pytest.mark.parametrize("rate", [24_000, 44_100, 11_025, 8_001])
@pytest.mark.parametrize("kbps", [1, 6])
def test_seeking_gives_the_same_samples(codec: nac.Codec, tmp_path: Path, rate: int, kbps: int) -> None:
    soundfile.write(tmp_path / "a.wav", sound(1, 7 * rate, rate).T, rate)
    codec.encode_file(tmp_path / "a.wav", tmp_path / "a.nac", kbps=kbps, effort="fast")
    codec.decode_file(tmp_path / "a.nac", tmp_path / "all.wav", subtype="float")
    codec.decode_file(tmp_path / "a.nac", tmp_path / "part.wav", subtype="float", start=4.25, duration=1.5)
    whole, part = (soundfile.read(tmp_path / name)[0] for name in ("all.wav", "part.wav"))
    expected = whole[round(4.25 * rate) :][: round(1.5 * rate)]
    assert part.shape == expected.shape
    np.testing.assert_allclose(part, expected, atol=2e-3)


def test_a_stream_of_unknown_length(codec: nac.Codec) -> None:
    samples = sound(2, 50_000, 44_100)
    stream = nac.StreamEncoder(codec, 44_100, 2, 6)
    data = stream.push(samples) + stream.flush()
    assert read_header(io.BytesIO(data)).samples is None
    assert codec.decode(data)[0].shape == (2, 50_000)
    known = codec.encode(samples, 44_100, 6)
    np.testing.assert_allclose(codec.decode(known)[0], codec.decode(data)[0], atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("effort", ["fast", "default"])
def test_a_reduced_file_is_the_one_encoded_at_the_lower_rate(codec: nac.Codec, channels: int, effort: str) -> None:
    samples = np.concatenate([stereo(level, 25_000)[:channels] for level in (0.5, 0.05, 0.0, 1.0)], 1)
    full = codec.encode(samples, 24_000, 24, effort)
    lags = {block.side_lag for block in blocks_of(full)}
    assert len(lags) == 1 if channels == 1 else len(lags) >= 3
    for kbps in (12, 6, 3):
        target = io.BytesIO()
        reduce(io.BytesIO(full), target, kbps)
        assert target.getvalue() == codec.encode(samples, 24_000, kbps, effort)


@pytest.mark.parametrize("kbps", [1, 2, 5, 7, 18])
def test_at_any_rate_that_holds_for_a_greedy_search(codec: nac.Codec, kbps: int) -> None:
    samples = stereo(0.2, 50_000)
    target = io.BytesIO()
    reduce(io.BytesIO(codec.encode(samples, 24_000, 24, "fast")), target, kbps)
    assert target.getvalue() == codec.encode(samples, 24_000, kbps, "fast")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_live_pipe_gets_each_block_when_it_is_due(codec: nac.Codec, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    os.mkfifo(source)
    os.mkfifo(target)
    samples = sound(1, 60_000)
    wav = io.BytesIO()
    soundfile.write(wav, samples.T, 24_000, "FLOAT", format="WAV")
    data = wav.getvalue()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(codec.encode_file, source, target, kbps=6)
        with open(source, "wb", buffering=0) as feed:
            feed.write(data[:1000])
            with open(target, "rb", buffering=0) as out:
                feed.write(data[1000 : len(data) // 2])  # 1.25 s
                first = 9 + 28 + 5 + 750  # header, metadata, one block
                got = b""
                while len(got) < first and select.select([out], [], [], 60)[0]:
                    got += out.read(first - len(got))
                assert len(got) == first, "nothing came while the input was still open"
                feed.write(data[len(data) // 2 :])
                feed.close()
                while piece := out.read(1 << 16):
                    got += piece
        done.result()
    decoded, _ = codec.decode(got)
    np.testing.assert_array_equal(decoded, codec.decode(codec.encode(samples, 24_000, 6))[0])


def test_a_long_lost_end_comes_in_pieces(codec: nac.Codec) -> None:
    data = codec.encode(sound(1, 24_000 * 40), 24_000, 1, "fast")[:500]
    stream = io.BytesIO(data)
    decoder = nac.StreamDecoder(codec, read_header(stream))
    sizes = [samples.shape[1] for samples in decoder.read(stream)]
    assert sum(sizes) == 24_000 * 40 and max(sizes) <= 500 * 480
    assert [(item.first_frame, item.frames) for item in decoder.report.damage] == [(128, 1873)]


def test_a_file_cut_short_is_not_filled_for_hours(codec: nac.Codec) -> None:
    data = codec.encode(sound(1, 72_000), 24_000, 6)
    meta = read_header(io.BytesIO(data))
    rest = data[len(pack_header(meta)) :]
    forged = pack_header(replace(meta, samples=(1 << 40) - 100)) + rest[: 2 * 755]
    decoded, _ = codec.decode(forged)
    assert 47_000 <= decoded.shape[1] <= 48_000
    # A missing end of some seconds is made up, so that the length stays what it was.
    short = pack_header(replace(meta, samples=10 * 24_000)) + rest[: 2 * 755]
    assert codec.decode(short)[0].shape[1] == 240_000
