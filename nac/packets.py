"""Audio to packets for datagrams, and packets, of which some are lost or late, to audio."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from nac.arrays import Codes, Samples
from nac.audio import Resampler, as_samples
from nac.block_decoder import LoadedModel
from nac.errors import AudioError, FormatError, OptionError
from nac.format.layout import split_codebooks
from nac.format.packets import BITS, MAX_DISTANCE, NUMBERS, Packet, Run, parse_packet
from nac.models.streaming import CodedFrames, FrameDecoder, FrameEncoder
from nac.settings import as_sample_rate, beam_width, codebooks_for

#: Frames beyond the delay that may lie ahead: a sender that is farther ahead has begun anew.
MAX_AHEAD = 250
#: Frames in a row that are concealed; then the sender has stopped, and what comes next is a new stream.
MAX_LOST = 50
MAX_DELAY = 250


class PacketEncoder:
    """Samples `[channels, n]` in, packets out: each can be decoded for itself, and fits a datagram.

    >>> import nac
    >>> encoder = PacketEncoder(nac.Codec.load(), sample_rate=24_000, channels=1, kbps=6, frames=2, fec_kbps=1)
    >>> packets = encoder.push(np.zeros((1, 4_800), np.float32)) + encoder.flush()
    >>> [len(packet) for packet in packets]
    [37, 37, 45, 45, 45, 30]
    """

    def __init__(
        self,
        codec: LoadedModel,
        sample_rate: int,
        channels: int,
        kbps: int = 6,
        effort: str | int = "default",
        frames: int = 1,
        fec_kbps: float = 0,
        fec_distance: int = 2,
        first_frame: int = 0,
    ) -> None:
        """An encoder for one stream.

        Args:
            codec: the loaded model.
            sample_rate: of the samples, in Hz.
            channels: 1 or 2.
            kbps: of the packet's own frames; whole number from 1 to 24, over all channels.
            effort: "fast", "default", "best", or paths of the codebook search, 1 to 64.
            frames: of a packet, 20 ms each: few for little delay, more for fewer bytes in heads.
            fec_kbps: redundancy (forward error correction): so many more kbps repeat the first codebooks of an earlier
                packet's frames, from which they can be decoded, less well, if that packet is lost. Multiples of 0.5 up
                to `kbps`; 0: none.
            fec_distance: how many packets before this one that packet is: more bridge longer bursts of loss, which
                needs as much more delay at the receiver.
            first_frame: number of the first frame, for a stream that goes on.

        Raises:
            OptionError: a value is not possible, or a packet would have more than 1,200 bytes.
            AudioError: the number of channels is not possible.
        """
        codebooks = codebooks_for(kbps)
        if channels not in (1, 2):
            raise AudioError(f"{channels} channels cannot be coded; give 1 or 2")
        if not isinstance(frames, int) or not 1 <= frames <= 255:
            raise OptionError(f"a packet has 1 to 255 frames, not {frames!r}")
        if not 0 <= fec_kbps <= kbps or fec_kbps * 2 % 1:
            raise OptionError(f"fec_kbps must be a multiple of 0.5 from 0 to kbps, {kbps}, not {fec_kbps!r}")
        if not isinstance(fec_distance, int) or not 1 <= fec_distance * frames <= MAX_DISTANCE:
            raise OptionError(
                f"fec_distance must be 1 or more packets, {MAX_DISTANCE} frames at most, not {fec_distance!r}"
            )
        self.channels = channels
        self._model = codec.fingerprint >> 16
        self._number = first_frame
        self._fec_codebooks = int(fec_kbps * 2)
        self._earlier: deque[Run] = deque(maxlen=fec_distance)
        config = codec.model.config
        self._resampler = Resampler(as_sample_rate(sample_rate), config.sample_rate, channels)
        self._frames = FrameEncoder(codec.model, channels, codebooks, split_codebooks, beam_width(effort), frames)
        # Refuses here, rather than in the midst of a call, what is too long.
        widest = Run(0, np.zeros((frames, codebooks), np.uint16))
        earlier = [Run(-frames * fec_distance, widest.codes[:, : self._fec_codebooks])] if fec_kbps else []
        Packet(0, channels, widest, earlier).pack()

    def push(self, samples: Any) -> list[bytes]:
        """Add samples.

        Args:
            samples: `[channels, n]`, of a type that `Codec.encode` takes.

        Returns:
            The packets that are complete, maybe none.

        Raises:
            AudioError: another number of channels, or values that are not finite.
        """
        return self._packets(self._frames.push(self._resampler.push(as_samples(samples, self.channels))))

    def flush(self) -> list[bytes]:
        """Return the last packets."""
        return self._packets(self._frames.push(self._resampler.flush()) + self._frames.flush())

    def _packets(self, parts: list[CodedFrames]) -> list[bytes]:
        return [self._packet(part) for part in parts]

    def _packet(self, part: CodedFrames) -> bytes:
        own = Run(self._number % NUMBERS, np.concatenate(part.codes).T, part.side_lag)
        self._number += own.frames
        earlier = []
        if self._fec_codebooks:
            if len(self._earlier) == self._earlier.maxlen:
                earlier.append(self._earlier[0].reduced(self.channels, self._fec_codebooks))
            self._earlier.append(own)
        return Packet(self._model, self.channels, own, earlier).pack()


@dataclass
class PacketReport:
    """What a `PacketDecoder` has met so far.

    Attributes:
        packets: that were taken.
        rejected: datagrams that are not packets of this model.
        late: packets that came after all their frames should have been heard, and repeated ones.
        restarts: how often a new stream began where another was.
        played: frames heard at full rate.
        repaired: frames heard from the redundancy in later packets.
        concealed: frames of which nothing came in time.
    """

    packets: int = 0
    rejected: int = 0
    late: int = 0
    restarts: int = 0
    played: int = 0
    repaired: int = 0
    concealed: int = 0


@dataclass(frozen=True, eq=False)
class _Frame:
    codes: list[Codes]  # of each channel, `[codebooks, 1]`
    codebooks: int
    own: bool


class PacketDecoder:
    """Packets in, in any order and with losses; a steady stream of samples out, 20 ms at each `pull`.

    It has no clock: whoever plays the sound calls `pull` when 20 ms more are needed, and that is the clock. Sound
    begins `delay` frames after the first packet; what comes within that time comes in time. A frame that is missing
    when its turn comes is decoded from the redundancy of a later packet, if one has come, and otherwise concealed.
    Memory and time are bounded whatever comes in.

    >>> import nac
    >>> codec = nac.Codec.load()
    >>> encoder = PacketEncoder(codec, 24_000, 1)
    >>> decoder = PacketDecoder(codec, delay=2)
    >>> for packet in encoder.push(np.zeros((1, 4_800), np.float32)):
    ...     decoder.push(packet)
    >>> [decoder.pull().shape[1] for _ in range(12)] == [480] * 12
    True
    >>> decoder.report.played
    10

    Attributes:
        report: what has come and what was heard.
    """

    def __init__(self, codec: LoadedModel, delay: int = 3, sample_rate: int | None = None, channels: int = 1) -> None:
        """A receiver for one sender.

        Args:
            codec: the loaded model.
            delay: of the jitter buffer, in frames of 20 ms, 0 to 250. Redundancy can repair only if it is at least
                `fec_distance` times the frames of a packet.
            sample_rate: of the output, in Hz; None: the model's.
            channels: of the output, 1 or 2, whatever the sender's are.

        Raises:
            OptionError: a value is not possible.
        """
        if not isinstance(delay, int) or not 0 <= delay <= MAX_DELAY:
            raise OptionError(f"delay must be 0 to {MAX_DELAY} frames, not {delay!r}")
        if channels not in (1, 2):
            raise OptionError(f"{channels} channels are not possible; give 1 or 2")
        config = codec.model.config
        if config.bits != BITS:
            raise OptionError(f"packets hold codes of {BITS} bits, but this model's have {config.bits}")
        self.report = PacketReport()
        self.channels, self.delay = channels, delay
        self._codec = codec
        self._hop = config.hop
        rate = config.sample_rate
        self._resampler = Resampler(rate, rate if sample_rate is None else as_sample_rate(sample_rate), channels)
        self._decoder: FrameDecoder | None = None
        #: The last hop of a stream after which another one began, `[channels, n]`.
        self._tail: Samples = np.zeros((channels, 0), np.float32)
        self._stranger: int | None = None  # number in the last packet that was far from all expected ones
        self._end()

    def _end(self) -> None:
        """Wait for a stream to begin."""
        self._frames: dict[int, _Frame] = {}  # by number; not modulo anything
        self._next: int | None = None  # number of the frame that is heard next; None before any packet
        self._earliest = 0  # what the first one may still turn out to be
        self._waits = 0  # pulls until it is heard
        self._lost = 0

    def push(self, packet: bytes) -> None:
        """Take a datagram.

        Args:
            packet: its bytes. What is not a packet of this model is counted and ignored.
        """
        try:
            parsed = parse_packet(bytes(packet))
        except FormatError:
            self.report.rejected += 1
            return
        if not self._is_ours(parsed):
            self.report.rejected += 1
            return
        first = self._place(parsed)
        if first is None:
            return
        self.report.packets += 1
        useful = self._keep(parsed.own, first, parsed.channels, own=True)
        for run in parsed.earlier:
            at = first - (parsed.own.first - run.first) % NUMBERS
            self._keep(run, at, parsed.channels, own=False)
        self.report.late += not useful

    def _is_ours(self, packet: Packet) -> bool:
        config = self._codec.model.config
        fits = all(
            run.codes.shape[1] <= config.codebooks and int(run.codes.max()) < config.codebook_size
            for run in (packet.own, *packet.earlier)
        )
        return fits and packet.model == self._codec.fingerprint >> 16

    def _place(self, packet: Packet) -> int | None:
        """The number of the packet's first frame, not modulo anything; None if it belongs nowhere."""
        number = packet.own.first
        if self._next is None:
            return self._begin(number)
        place = self._next + (number - self._next + NUMBERS // 2) % NUMBERS - NUMBERS // 2
        most = self.delay + MAX_AHEAD
        if abs(place - self._next) <= most:
            self._stranger = None
            return place
        # One packet far from all that is expected is nothing, or hostile; a second one near the first is a new stream.
        if self._stranger is None or (number - self._stranger + most) % NUMBERS > 2 * most:
            self._stranger = number
            self.report.rejected += 1
            return None
        self._end()
        self._finish()
        self._stranger = None
        self.report.restarts += 1
        return self._begin(number)

    def _begin(self, number: int) -> int:
        self._next, self._waits = NUMBERS + number, self.delay
        self._earliest = self._next - self.delay
        return self._next

    def _keep(self, run: Run, first: int, channels: int, own: bool) -> bool:
        """Remember the frames that can still be heard, if they are better than what is there; whether any is."""
        assert self._next is not None
        useful = False
        codes = run.channels(channels)
        if self._waits and own and self._earliest <= first < self._next:
            self._next = first  # nothing has been heard yet, so that an earlier packet still begins the stream
        for index in range(run.frames):
            number = first + index
            if not self._next <= number <= self._next + self.delay + MAX_AHEAD:
                continue
            before = self._frames.get(number)
            if before is None or before.codebooks < run.codes.shape[1]:
                frame = [channel[:, index : index + 1] for channel in codes]
                self._frames[number] = _Frame(frame, run.codes.shape[1], own)
                useful = True
        return useful

    def pull(self) -> Samples:
        """Return the next 20 ms.

        Returns:
            float32 `[channels, n]`, full scale 1. At the model's sample rate n is always its hop, 480; where it is
            converted to another, what is ready, and in the mean as much.
        """
        return self._resampler.push(self._whole(self._frame()))

    def _frame(self) -> Samples:
        """The next frame's samples: a hop, or none."""
        silence = np.zeros((self.channels, 0), np.float32)
        if self._next is None:
            return silence
        if self._waits:
            self._waits -= 1
            return silence
        number = self._next
        self._next += 1
        frame = self._frames.pop(number, None)
        if frame is None:
            self.report.concealed += 1
            self._lost += 1
            if self._lost >= MAX_LOST and not self._frames:
                self._end()
                self._decoder = None
                return silence
            return silence if self._decoder is None else self._shaped(self._decoder.conceal(1))
        self._lost = 0
        if frame.own:
            self.report.played += 1
        else:
            self.report.repaired += 1
        if self._decoder is None or self._decoder.channels != len(frame.codes):
            self._finish()
            self._decoder = FrameDecoder(self._codec.model, len(frame.codes), number % NUMBERS)
        return self._shaped(self._decoder.push(frame.codes))

    def _finish(self) -> None:
        """Take what the decoder still holds, for the frames of the next one that give no sound yet."""
        if self._decoder is not None:
            self._tail = self._shaped(self._decoder.flush())
        self._decoder = None

    def _shaped(self, samples: Samples) -> Samples:
        """As many channels as were asked for."""
        if len(samples) != self.channels:
            samples = samples.mean(0, keepdims=True) if self.channels == 1 else np.repeat(samples, 2, 0)
        return samples

    def _whole(self, samples: Samples) -> Samples:
        """A whole hop: a stream's first frames precede its sound, and after its last one there is none."""
        missing = self._hop - samples.shape[1]
        tail, self._tail = self._tail[:, :missing], self._tail[:, missing:]
        return np.concatenate([tail, np.pad(samples, ((0, 0), (missing - tail.shape[1], 0)))], 1)
