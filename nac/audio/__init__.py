"""Audio in and out: files and pipes, sample rates, levels. Knows soundfile and soxr, not the codec."""

from nac.audio.read import AudioReader, RawFormat, open_audio
from nac.audio.resample import Resampler, resampled_length
from nac.audio.samples import as_samples
from nac.audio.write import AudioWriter, format_of, known_formats
from nac.errors import AudioWarning, IncompleteAudioWarning

__all__ = [
    "AudioReader",
    "AudioWarning",
    "AudioWriter",
    "IncompleteAudioWarning",
    "RawFormat",
    "Resampler",
    "as_samples",
    "format_of",
    "known_formats",
    "open_audio",
    "resampled_length",
]
