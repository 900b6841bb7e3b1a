"""Packets: what is in them, and what is heard when they are lost, late, repeated, out of order or no packets at all."""

import itertools
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nac
from nac.errors import AudioError, FormatError, OptionError
from nac.format.packets import Packet, Run, parse_packet
from nac.models.streaming import FrameDecoder
from nac.models.weights import save_model
from nac.packets import MAX_AHEAD, MAX_LOST
from nac.synthetic import speech_like
from tests.conftest import small_model
from tests.models.voice.whole import small_voice_model

RATE = 24_000
VOICE = speech_like(RATE, RATE)[None]
BOTH = np.concatenate([VOICE, 0.5 * np.roll(VOICE, 9)])


@pytest.fixture(scope="module", params=["general", "voice"])
def codec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> nac.Codec:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    model = small_voice_model(1024) if request.param == "voice" else small_model(codebook_size=1024)
    save_model(model, path, generation=3)
    return nac.Codec.load(path)


def packets(codec: nac.Codec, samples: np.ndarray = VOICE, **options: object) -> list[bytes]:
    return list(_packets(codec, len(samples), **options))


@lru_cache
def _packets(codec: nac.Codec, channels: int, **options: object) -> tuple[bytes, ...]:
    encoder = nac.PacketEncoder(codec, RATE, channels, effort="fast", **options)  # type: ignore[arg-type]
    return (*encoder.push(VOICE if channels == 1 else BOTH), *encoder.flush())


def heard(decoder: nac.PacketDecoder, arrivals: list[list[bytes]], more: int = 0) -> np.ndarray:
    """What is pulled, 20 ms after each list of packets that arrive together."""
    out = []
    for together in [*arrivals, *[[]] * more]:
        for packet in together:
            decoder.push(packet)
        out.append(decoder.pull())
    return np.concatenate(out, 1)


# -- bytes -----------------------------------------------------------------------------------------------------------


def test_the_document_s_packet() -> None:
    text = (Path(__file__).parents[1] / "FORMAT.md").read_text(encoding="utf-8").split("## Packets")[1]
    (example,) = re.findall(r"```packet\n(.*?)```", text, re.S)
    data = bytes.fromhex("".join(line.split("   ")[0] for line in example.splitlines()))
    packet = parse_packet(data)
    assert (packet.model, packet.channels, packet.own.first) == (0x0123, 1, 258)
    assert packet.own.codes.tolist() == [[1, 64], [3, 255]]
    assert [(run.first, run.codes.tolist()) for run in packet.earlier] == [(257, [[7]])]
    assert packet.pack() == data


@given(st.data())
def test_what_is_packed_comes_back(data: st.DataObject) -> None:
    channels = data.draw(st.integers(1, 2))

    def run(first: int) -> Run:
        shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 20)))
        codes = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 1024, shape).astype(np.uint16)
        return Run(first % 65_536, codes, data.draw(st.integers(0, 255)) if channels == 2 else 0)

    first = data.draw(st.integers(0, 65_535))
    earlier = [run(first - distance) for distance in data.draw(st.lists(st.integers(1, 255), max_size=3))]
    packet = Packet(data.draw(st.integers(0, 65_535)), channels, run(first), earlier)
    parsed = parse_packet(packet.pack())
    assert (parsed.model, parsed.channels) == (packet.model, packet.channels)
    for one, other in zip([parsed.own, *parsed.earlier], [packet.own, *packet.earlier], strict=True):
        assert (one.first, one.side_lag) == (other.first, other.side_lag)
        np.testing.assert_array_equal(one.codes, other.codes)


@given(st.binary(max_size=1300))
@settings(max_examples=300)
def test_any_bytes_are_a_packet_or_refused(data: bytes) -> None:
    for start in (b"", b"\x10\0\0\0\0", b"\x11\0\0\0\0"):
        try:
            packet = parse_packet(start + data)
        except FormatError:
            continue
        assert packet.pack() == start + data  # nothing in it was overlooked


def test_every_cut_of_a_packet_is_refused_or_lacks_only_redundancy(codec: nac.Codec) -> None:
    data = packets(codec, fec_kbps=1)[10]
    whole = parse_packet(data)
    for size in range(len(data)):
        try:
            packet = parse_packet(data[:size])
        except FormatError:
            continue
        assert not packet.earlier and np.array_equal(packet.own.codes, whole.own.codes)


# -- encoder ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "frames"), [(VOICE, 1), (VOICE, 3), (BOTH, 1), (BOTH, 2)])
def test_packets_hold_the_codes_of_the_stream(codec: nac.Codec, samples: np.ndarray, frames: int) -> None:
    encoder = nac.StreamEncoder(codec, RATE, len(samples), 6, "fast", entropy=False, block_frames=frames)
    parts = []
    encoder.on_coded = parts.append
    encoder.push(samples)
    encoder.flush()
    runs = [parse_packet(data).own for data in packets(codec, samples, frames=frames)]
    assert len(runs) == len(parts)
    for run, part in zip(runs, parts, strict=True):
        assert run.side_lag == part.side_lag
        assert all(map(np.array_equal, run.channels(len(samples)), part.codes))
    assert [run.first for run in runs] == list(range(0, len(runs) * frames, frames))


@settings(deadline=None, max_examples=10)
@given(sizes=st.lists(st.integers(1, 3000), max_size=6))
def test_any_cut_gives_the_same_packets(codec: nac.Codec, sizes: list[int]) -> None:
    encoder = nac.PacketEncoder(codec, RATE, 1, effort="fast", frames=2, fec_kbps=2)
    edges = np.cumsum([0, *sizes])
    got = [encoder.push(VOICE[:, a:b]) for a, b in zip(edges, [*edges[1:], None], strict=True)]
    assert [*itertools.chain(*got), *encoder.flush()] == packets(codec, frames=2, fec_kbps=2)


@pytest.mark.parametrize("samples", [VOICE, BOTH])
def test_redundancy_is_the_first_codebooks_of_the_packet_before(codec: nac.Codec, samples: np.ndarray) -> None:
    channels = len(samples)
    found = [parse_packet(data) for data in packets(codec, samples, frames=2, fec_kbps=1.5, fec_distance=3)]
    assert not any(packet.earlier for packet in found[:3])
    for before, packet in zip(found, found[3:], strict=False):
        (run,) = packet.earlier
        assert run.first == before.own.first and run.codes.shape == (before.own.frames, 3)
        whole = before.own.channels(channels)
        for few, all_of_them in zip(run.channels(channels), whole, strict=True):
            np.testing.assert_array_equal(few, all_of_them[: len(few)])


@pytest.mark.parametrize(
    "options",
    [
        {"frames": 0},
        {"frames": 256},
        {"frames": 1.5},
        {"fec_kbps": 7},
        {"fec_kbps": 0.3},
        {"fec_kbps": -1},
        {"fec_kbps": 1, "fec_distance": 0},
        {"fec_kbps": 1, "fec_distance": 256},
        {"frames": 100, "fec_kbps": 1, "fec_distance": 3},
        {"kbps": 24, "frames": 21},  # more than 1,200 bytes
        {"kbps": 0},
    ],
)
def test_what_is_not_possible_is_told_at_once(codec: nac.Codec, options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        nac.PacketEncoder(codec, RATE, 1, **options)  # type: ignore[arg-type]
    with pytest.raises(AudioError):
        nac.PacketEncoder(codec, RATE, 3)


@pytest.mark.parametrize(("delay", "channels"), [(-1, 1), (251, 1), (1.5, 1), (3, 3)])
def test_receivers_that_are_not_possible(codec: nac.Codec, delay: int, channels: int) -> None:
    with pytest.raises(OptionError):
        nac.PacketDecoder(codec, delay, channels=channels)


# -- decoder ---------------------------------------------------------------------------------------------------------


@lru_cache
def undamaged(codec: nac.Codec, channels: int = 1, delay: int = 3, first_frame: int = 0) -> np.ndarray:
    """The sound of all packets, and of a frame decoder alone."""
    samples = VOICE if channels == 1 else BOTH
    sent = packets(codec, samples)
    frames = FrameDecoder(codec.model, channels, first_frame)
    expected = [frames.push(parse_packet(data).own.channels(channels)) for data in sent]
    return after_silence(expected, (len(sent) + delay) * 480)


def after_silence(parts: list[np.ndarray], samples: int) -> np.ndarray:
    """Sound that ends after so many samples: it begins with the first hops that a decoder gives."""
    joined = np.concatenate(parts, 1)
    return np.pad(joined, ((0, 0), (samples - joined.shape[1], 0)))


@pytest.mark.parametrize("channels", [1, 2])
def test_all_packets_in_time_sound_as_the_stream(codec: nac.Codec, channels: int) -> None:
    decoder = nac.PacketDecoder(codec, 3, channels=channels)
    sent = packets(codec, VOICE if channels == 1 else BOTH)
    got = heard(decoder, [[data] for data in sent], more=3)
    np.testing.assert_array_equal(got, undamaged(codec, channels))
    assert (decoder.report.played, decoder.report.packets) == (51, 51)
    assert decoder.report.concealed == decoder.report.late == decoder.report.rejected == 0


@pytest.mark.slow
@settings(deadline=None, max_examples=6)
@given(lateness=st.lists(st.integers(0, 3), min_size=51, max_size=51), repeats=st.lists(st.integers(0, 50), max_size=9))
def test_what_comes_within_the_delay_comes_in_time(codec: nac.Codec, lateness: list[int], repeats: list[int]) -> None:
    """Out of order and repeated, the sound is the same; the first packet, which sets the clock, is in time."""
    arrivals: list[list[bytes]] = [[] for _ in range(51 + 3)]
    sent = packets(codec)
    for index, late in enumerate([0, *lateness[1:]]):
        arrivals[index + late].append(sent[index])
    for index in repeats:
        arrivals[min(index + 3, 53)].append(sent[index])
    decoder = nac.PacketDecoder(codec, 3)
    np.testing.assert_array_equal(heard(decoder, arrivals), undamaged(codec))
    assert decoder.report.played == 51 and decoder.report.concealed == 0


def test_a_late_packet_still_plays_the_frames_that_fit(codec: nac.Codec) -> None:
    sent = packets(codec, frames=4)
    arrivals: list[list[bytes]] = [[] for _ in range(60)]
    for index, data in enumerate(sent):
        arrivals[4 * index].append(data)
    arrivals[10].append(arrivals[8].pop())  # two frames after its turn, with no delay: two frames still fit
    decoder = nac.PacketDecoder(codec, 0)
    heard(decoder, arrivals)
    assert (decoder.report.played, decoder.report.late) == (49, 0)
    decoder.push(sent[1])
    assert decoder.report.late == 1


def test_a_lost_packet_is_repaired_from_a_later_one(codec: nac.Codec) -> None:
    sent = packets(codec, fec_kbps=2, fec_distance=2)
    lost = {5, 6, 20, 21, 22, 40}
    arrivals = [[] if index in lost else [data] for index, data in enumerate(sent)]
    decoder = nac.PacketDecoder(codec, 3)
    got = heard(decoder, arrivals, more=3)
    # Of three in a row the first is in the third, which is lost too.
    assert (decoder.report.played, decoder.report.repaired, decoder.report.concealed) == (45, 5, 1)
    frames = FrameDecoder(codec.model, 1)
    parts = []
    for index, data in enumerate(sent):
        codes = parse_packet(data).own.channels(1)
        parts.append(
            frames.conceal(1) if index == 20 else frames.push([x[:4] for x in codes] if index in lost else codes)
        )
    np.testing.assert_array_equal(got, after_silence(parts, (51 + 3) * 480))
    # Without the delay for it, the same packets cannot repair.
    hasty = nac.PacketDecoder(codec, 1)
    heard(hasty, arrivals, more=1)
    assert (hasty.report.repaired, hasty.report.concealed) == (0, 6)


def test_the_better_of_two_codings_of_a_frame_is_heard(codec: nac.Codec) -> None:
    """A packet that comes after the redundancy for it, but in time, is heard at full rate."""
    sent = packets(codec, fec_kbps=1, fec_distance=1)
    arrivals = [[data] for data in sent]
    arrivals[8] = [*arrivals[8], *arrivals[7]]
    arrivals[7] = []
    decoder = nac.PacketDecoder(codec, 3)
    heard(decoder, arrivals, more=3)
    assert (decoder.report.played, decoder.report.repaired) == (51, 0)


def test_a_sender_that_stops_fades_and_may_begin_anew(codec: nac.Codec) -> None:
    decoder = nac.PacketDecoder(codec, 2)
    first = heard(decoder, [[data] for data in packets(codec)[:20]], more=2 + 3 * MAX_LOST)
    assert decoder.report.concealed == MAX_LOST and not first[:, -480 * MAX_LOST :].any()
    again = heard(decoder, [[data] for data in packets(codec, first_frame=40_000)], more=2)
    np.testing.assert_array_equal(again, undamaged(codec, 1, 2, 40_000))  # the noise follows the frames' numbers
    assert decoder.report.played == 20 + 51 and decoder.report.restarts == 0


def test_a_sender_that_jumps_is_followed_but_a_lone_stray_packet_is_not(codec: nac.Codec) -> None:
    sent, other = packets(codec), packets(codec, first_frame=30_000)
    arrivals = [[data] for data in sent[:20]]
    arrivals[10] = [*arrivals[10], other[0]]
    decoder = nac.PacketDecoder(codec, 2)
    heard(decoder, arrivals, more=2)
    assert (decoder.report.played, decoder.report.rejected, decoder.report.restarts) == (20, 1, 0)
    heard(decoder, [[data] for data in other[1:]], more=2)
    assert decoder.report.restarts == 1 and decoder.report.played == 20 + 49


def test_numbers_go_round(codec: nac.Codec) -> None:
    decoder = nac.PacketDecoder(codec, 2)
    sent = packets(codec, first_frame=65_536 - 20, fec_kbps=1)
    heard(decoder, [[] if index in (19, 20, 25) else [data] for index, data in enumerate(sent)], more=2)
    assert (decoder.report.played, decoder.report.repaired, decoder.report.restarts) == (48, 3, 0)


def test_other_models_versions_and_noise_are_ignored(codec: nac.Codec) -> None:
    sent = packets(codec)
    decoder = nac.PacketDecoder(codec, 3)
    other = bytearray(sent[3])
    other[2] ^= 1
    newer = bytes([0x20]) + sent[4][1:]
    high = Packet(codec.fingerprint >> 16, 1, Run(5, np.zeros((1, 60), np.uint16))).pack()  # more than the model has
    arrivals = [[data, bytes(other), newer, high, b"", b"\x10", bytes(5000)] for data in sent]
    np.testing.assert_array_equal(heard(decoder, arrivals, more=3), undamaged(codec))
    assert decoder.report.rejected == 6 * 51


def test_a_stream_may_change_its_channels(codec: nac.Codec) -> None:
    mono, both = packets(codec)[:25], packets(codec, BOTH)[25:]
    for channels in (1, 2):
        decoder = nac.PacketDecoder(codec, 2, channels=channels)
        got = heard(decoder, [[data] for data in [*mono, *both]], more=2)
        assert got.shape == (channels, 480 * 53) and np.isfinite(got).all() and decoder.report.played == 51
        assert channels == 1 or np.array_equal(got[0, : 480 * 25], got[1, : 480 * 25])


def test_a_stream_is_heard_to_its_end_when_another_follows(codec: nac.Codec) -> None:
    mono, both = packets(codec)[:25], packets(codec, BOTH)[25:]
    got = heard(nac.PacketDecoder(codec, 0), [[data] for data in [*mono, *both]])
    decoder = FrameDecoder(codec.model, 1)
    expected = np.concatenate(
        [*(decoder.push(parse_packet(data).own.channels(1)) for data in mono), decoder.flush()], 1
    )
    assert expected.shape == (1, 24 * 480) and expected[:, -480:].any()
    first = 480 if codec.model.voice is None else 2 * 480  # sound begins with the second frame, or the third
    np.testing.assert_array_equal(got[:, first : first + 24 * 480], expected)
    assert not got[:, :first].any() and not got[:, first + 24 * 480 :][:, :480].any()


def test_memory_is_bounded(codec: nac.Codec) -> None:
    """A sender that never waits, to a player that never pulls."""
    decoder = nac.PacketDecoder(codec, 3)
    one = Run(0, np.zeros((200, 1), np.uint16))
    for first in itertools.chain(range(0, 3000, 7), range(2000, 0, -3)):
        decoder.push(Packet(codec.fingerprint >> 16, 1, Run(first, one.codes)).pack())
    assert len(decoder._frames) <= 2 * 3 + MAX_AHEAD + 1


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_the_output_has_the_rate_that_was_asked_for(codec: nac.Codec, rate: int) -> None:
    decoder = nac.PacketDecoder(codec, 3, sample_rate=rate)
    got = heard(decoder, [[data] for data in packets(codec)], more=50)
    assert abs(got.shape[1] - rate * 101 // 50) < rate // 10
