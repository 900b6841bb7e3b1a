"""Audio in, `.nac` out, and back: the one module that uses both the model and the format.

A one-shot call is a stream of one piece: `Codec.encode` pushes everything into a `StreamEncoder` at once.
"""

from __future__ import annotations

import functools
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch

from nac.arrays import Samples
from nac.audio import AudioReader, AudioWriter, RawFormat, Resampler, as_samples, open_audio
from nac.block_decoder import DecodeReport
from nac.errors import OptionError
from nac.files import NewFile, is_special, standard_output
from nac.format.blocks import patch_samples
from nac.format.header import Metadata, read_header
from nac.format.layout import split_codebooks
from nac.models.streaming import FrameDecoder, FrameEncoder
from nac.models.weights import load_model
from nac.packaged import default_weights
from nac.settings import Tags, as_sample_rate, beam_width, codebooks_for
from nac.stream import StreamDecoder, StreamEncoder
from nac.times import show_time
from nac.verify import Verifier
from nac.writing import Progress, encoded, write_live


class Codec:
    """A loaded model; made by `Codec.load`.

    Attributes:
        model: the network.
        path: of the weights file.
        fingerprint: of the model's codebooks; files name it.
        generation: how often the decoder was improved for the same codebooks.

    >>> codec = Codec.load()
    >>> tone = np.sin(np.arange(24_000) / 24_000 * 2 * np.pi * 440).astype(np.float32) * 0.5
    >>> data = codec.encode(tone, 24_000, kbps=6)
    >>> audio, rate = codec.decode(data)
    >>> audio.shape, rate
    ((1, 24000), 24000)
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        """Load a weights file; see `load`."""
        _make_fork_safe()
        model, notes = load_model(path)
        try:
            self.model = model.to(torch.device(device))
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise OptionError(f"device {device!r} cannot be used ({reason}); cpu always can") from error
        self.path = path
        self.fingerprint = int(notes["fingerprint"], 16)
        self.generation = int(notes.get("generation", "0"))

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None, device: str = "cpu", threads: int | None = None) -> Codec:
        """Load weights.

        Args:
            path: of a weights file; None: the packaged one.
            device: as torch names it: cpu, cuda, cuda:1 and so on.
            threads: CPU threads that torch uses in this process; None: as it is.

        Raises:
            WeightsError: no such file, or no usable weights in it.
            OptionError: the device does not exist here, or threads is below 1.
        """
        if threads is not None:
            if threads < 1:
                raise OptionError(f"{threads} threads are not possible; give 1 or more")
            torch.set_num_threads(threads)
        return cls(Path(path) if path is not None else default_weights(), device)

    @property
    def model_name(self) -> str:
        """Name of the model, as in the header of files."""
        return self.model.config.name

    @property
    def sample_rate(self) -> int:
        """Sample rate of the model in Hz; audio of other rates is converted."""
        return self.model.config.sample_rate

    @property
    def hop(self) -> int:
        """Samples per frame at `sample_rate`."""
        return self.model.config.hop

    def warm_up(self, kbps: int = 6) -> None:
        """Code and decode a moment of silence, so that the first frames of a live stream take no longer than others.

        Args:
            kbps: as in `encode`.
        """
        self.decode(self.encode(np.zeros(self.hop * 8, np.float32), self.sample_rate, kbps, block_frames=1))

    # -- arrays ------------------------------------------------------------------------------------------------

    def encode(
        self,
        audio: Any,
        sample_rate: int,
        kbps: int = 6,
        effort: str | int = "default",
        tags: Tags | Mapping[str, str] = (),
        entropy: bool | None = None,
        block_frames: int | None = None,
    ) -> bytes:
        """Encode audio to the bytes of a `.nac` file.

        Args:
            audio: `[channels, samples]` or `[samples]`, 1 or 2 channels: an array or a tensor. Floats have full scale
                −1..1; int8, int16, int32 and uint8 are scaled by their type.
            sample_rate: in Hz.
            kbps: whole number from 1 to 24, over all channels.
            effort: "fast", "default", "best", or paths of the codebook search, 1 to 64.
            tags: (key, value) pairs, or a mapping.
            entropy: code without loss in about a sixth fewer bytes, at some cost in time; None: where the weights have
                tables for it.
            block_frames: as in `StreamEncoder`.

        Raises:
            AudioError: another shape or type, or values that are not finite.
            OptionError: `kbps`, `effort`, `tags` or `block_frames` is not possible.
            WeightsError: the weights have no tables for the entropy coding.
        """
        samples = as_samples(audio)
        stream = StreamEncoder(
            self, sample_rate, samples.shape[0], kbps, effort, tags, samples.shape[1], entropy, block_frames
        )
        return stream.push(samples) + stream.flush()

    def decode(self, data: bytes) -> tuple[Samples, int]:
        """Decode the bytes of a `.nac` file; lost blocks are concealed.

        Args:
            data: the whole file.

        Returns:
            float32 `[channels, samples]`, full scale 1, and their sample rate in Hz.

        Raises:
            FormatError: this is not a `.nac` file that can be read.
            WeightsError: it was made with other weights.
        """
        stream = io.BytesIO(data)
        decoder = StreamDecoder(self)
        pieces = list(decoder.read(stream))
        return np.concatenate(pieces, 1), decoder.metadata.sample_rate

    def encode_codes(
        self, audio: Any, sample_rate: int, kbps: int = 6, effort: str | int = "default"
    ) -> npt.NDArray[np.int16]:
        """Encode audio to codes.

        Args:
            audio: as in `encode`.
            sample_rate: as in `encode`.
            kbps: as in `encode`.
            effort: as in `encode`.

        Returns:
            int16 `[channels, codebooks, frames]`, 50 frames per second; in stereo the channels are mid and side, and
            −1 marks codebooks that a channel does not have in that second.

        Raises:
            AudioError: as `encode`.
            OptionError: as `encode`.
        """
        samples = as_samples(audio)
        codebooks = codebooks_for(kbps)
        coder = FrameEncoder(self.model, samples.shape[0], codebooks, split_codebooks, beam_width(effort))
        resampler = Resampler(as_sample_rate(sample_rate), self.sample_rate, samples.shape[0])
        parts = coder.push(resampler.push(samples)) + coder.push(resampler.flush()) + coder.flush()
        out = [np.zeros((samples.shape[0], codebooks, 0), np.int16)]
        for part in parts:
            table = np.full((samples.shape[0], codebooks, part.frames), -1, np.int16)
            for channel, codes in zip(table, part.codes, strict=True):
                channel[: len(codes)] = codes
            out.append(table)
        return np.concatenate(out, 2)

    def decode_codes(self, codes: npt.NDArray[np.integer]) -> Samples:
        """Decode codes.

        Args:
            codes: `[channels, codebooks, frames]`, as `encode_codes` returns them.

        Returns:
            float32 `[channels, (frames − 1) · hop]` at `sample_rate`.

        Raises:
            OptionError: not of shape `[1 or 2, 0 to 48, frames]`, or codes outside −1..1023.
        """
        config = self.model.config
        codes = np.asarray(codes.detach().cpu() if isinstance(codes, torch.Tensor) else codes)
        if codes.dtype.kind not in "iu":
            raise OptionError(f"codes are integers, not {codes.dtype.name}")
        if codes.ndim != 3 or codes.shape[0] not in (1, 2) or codes.shape[1] > config.codebooks:
            raise OptionError(f"codes of shape {list(codes.shape)} are not [channels, codebooks, frames]")
        if codes.size and not -1 <= int(codes.min()) <= int(codes.max()) < config.codebook_size:
            raise OptionError(f"codes must be from -1 (none) to {config.codebook_size - 1}")
        decoder = FrameDecoder(self.model, codes.shape[0])
        return np.concatenate([decoder.push(list(codes)), decoder.flush()], 1)

    # -- files -------------------------------------------------------------------------------------------------

    def encode_file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        kbps: int = 6,
        effort: str | int = "default",
        tags: Tags | Mapping[str, str] = (),
        progress: Progress | None = None,
        entropy: bool | None = None,
        verify: bool = False,
        raw: RawFormat | None = None,
        channels: int | None = None,
        block_frames: int | None = None,
    ) -> Metadata:
        """Encode an audio file.

        Args:
            source: path of the audio file, or "-" for standard input.
            target: path of the `.nac` file, which appears when it is complete, or "-" for standard output.
            kbps: as in `encode`.
            effort: as in `encode`.
            tags: (key, value) pairs.
            progress: called with the seconds of audio read so far.
            entropy: as in `encode`.
            raw: what the samples of the source are, if it has no header.
            channels: 1 folds all channels into one, 2 folds more than two into two; None takes one or two as they are.
            verify: read back every block from the file, decode it and compare it with what was coded; the target
                appears only if nothing differs.
            block_frames: as in `StreamEncoder`; a pipe gets every block as soon as its last sample has come.

        Returns:
            The metadata of the file.

        Raises:
            AudioError: the source cannot be read, or has more than 2 channels.
            DamagedError: with `verify`, something differs.
            OptionError: as `encode`; or `verify` for a target that cannot be read back.
            OSError: the target cannot be written.
        """
        live = os.fspath(target) == "-" or is_special(target)
        if verify and live:
            raise OptionError("--verify needs an output file that can be read back")
        with open_audio(source, raw, channels) as reader:
            # The header of a file is completed at its end, whatever the source has announced.
            samples = reader.frames if live else None
            stream = StreamEncoder(
                self, reader.sample_rate, reader.channels, kbps, effort, tags, samples, entropy, block_frames
            )
            if os.fspath(target) == "-":
                write_live(reader, stream, standard_output(), progress)
                return stream.metadata
            with NewFile(target) as new:
                if new.special:
                    write_live(reader, stream, new.file, progress)
                    return stream.metadata
                if verify:
                    return _encode_verified(self, reader, stream, new, progress)
                for piece in encoded(reader, stream, progress):
                    new.file.write(piece)
                return patch_samples(new.file, stream.metadata, stream.samples)

    def decode_file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        format: str | None = None,
        subtype: str | None = None,
        start: float = 0.0,
        duration: float | None = None,
        progress: Progress | None = None,
        headroom: float = 0.0,
        with_tags: bool = True,
        live: bool = False,
    ) -> DecodeReport:
        """Decode a `.nac` file.

        Args:
            source: path of the file, or "-" for standard input.
            target: path of the audio file, which appears when it is complete, or "-" for WAV on standard output.
            format: as `AudioWriter` takes it.
            subtype: as `AudioWriter` takes it.
            start: where the part to decode begins, in seconds; of a file only the blocks needed are read.
            duration: of that part, in seconds; None: to the end.
            progress: called with the seconds of audio written.
            headroom: by how many dB the sound is lowered, so that peaks above full scale are not clipped.
            with_tags: whether the tags go into FLAC, Ogg and MP3 files.
            live: write what can be heard as soon as its bytes have come, and read nothing ahead; see `StreamDecoder`.

        Returns:
            What was decoded, and the damage found.

        Raises:
            FormatError: the source is not a `.nac` file that can be read. Damaged blocks are in the report instead.
            WeightsError: it was made with other weights.
            AudioError: the target cannot be written as asked.
            OptionError: the file ends before `start`; or `live` for a part of a file.
            OSError: the source cannot be opened.
        """
        if live and (start > 0 or duration is not None):
            raise OptionError("a live stream is decoded from where it begins to its end: give no part of it")
        with _open_input(source) as stream:
            metadata = read_header(stream)
            decoder = StreamDecoder(self, metadata, live)
            length = None if duration is None else round(duration * metadata.sample_rate)
            first = round(start * metadata.sample_rate)
            expected = None if metadata.samples is None else max(0, metadata.samples - first)
            if length is not None:
                expected = length if expected is None else min(length, expected)
            gain, tags = 10 ** (-headroom / 20), metadata.tags if with_tags else ()
            with AudioWriter(
                target, metadata.sample_rate, metadata.channels, format, subtype, expected, gain, tags
            ) as writer:
                if live:  # the header alone, so that whoever plays it can begin
                    writer.write(np.zeros((metadata.channels, 0), np.float32))
                for samples in decoder.follow(stream) if live else decoder.read(stream, first, length):
                    writer.write(samples)
                    if progress is not None:
                        progress(writer.samples / metadata.sample_rate)
                if first > 0 and writer.samples == 0:
                    raise OptionError(_ends_before(source, decoder.length / metadata.sample_rate))
            decoder.report.samples = writer.samples
            decoder.report.clipped, decoder.report.peak = writer.clipped, writer.peak
            return decoder.report


def _ends_before(source: str | os.PathLike[str], end: float) -> str:
    name = os.fspath(source)
    return f"{'standard input' if name == '-' else name} ends at {show_time(end)}, before --start"


@functools.cache
def _make_fork_safe() -> None:
    """Let processes that are forked from this one compute with a single thread.

    They have none of the threads of torch's pool, and would wait for them for ever.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def _encode_verified(
    codec: Codec, reader: AudioReader, stream: StreamEncoder, new: NewFile, progress: Progress | None
) -> Metadata:
    """As writing alone, but every block is read back and decoded as soon as it is written."""
    with Verifier(codec, stream, new.unfinished, new.path) as verifier:
        for piece in encoded(reader, stream, progress):
            if piece:
                new.file.write(piece)
                new.file.flush()
                verifier.follow()
        metadata = patch_samples(new.file, stream.metadata, stream.samples)
        new.file.flush()
        verifier.finish(metadata)
    return metadata


def _open_input(source: str | os.PathLike[str]) -> BinaryIO:
    if os.fspath(source) == "-":
        return open(sys.stdin.fileno(), "rb", closefd=False)
    return open(source, "rb")


__all__ = ["Codec", "DecodeReport", "StreamDecoder", "StreamEncoder", "beam_width"]
