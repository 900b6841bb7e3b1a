"""From whatever holds samples in Python to float32 arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from nac.arrays import Samples
from nac.errors import AudioError

# Full scale of integer samples, as WAV files hold them.
_FULL_SCALE = {"uint8": 2.0**7, "int8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31}


def as_samples(audio: Any, channels: int | None = None) -> Samples:
    """Samples as the codec takes them.

    Args:
        audio: `[channels, samples]`, or `[samples]` for mono: an array, a torch tensor on any device, with gradients
            or without, or nested lists. Floats have full scale -1..1; int8, int16, int32 and uint8 are scaled by their
            type, as soundfile does.
        channels: How many there must be; None for one or two.

    Returns:
        float32 `[channels, samples]`.

    Raises:
        AudioError: Another shape, another type, or values that are not finite numbers.
    """
    array = _as_array(audio)
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[0] not in ((1, 2) if channels is None else (channels,)):
        raise AudioError(f"audio of shape {list(array.shape)} cannot be coded; {_expected(array, channels)}")
    samples = _as_floats(array)
    if not np.isfinite(samples).all():
        raise AudioError("the samples contain values that are not finite numbers; replace them first")
    return samples


def _as_array(audio: Any) -> np.ndarray[Any, Any]:
    if hasattr(audio, "detach"):
        audio = audio.detach().cpu()
        if "bfloat16" in str(audio.dtype):  # NumPy has no such type
            audio = audio.float()
    try:
        return np.asarray(audio)
    except (ValueError, TypeError, RuntimeError) as error:
        raise AudioError(f"{type(audio).__name__} cannot be taken as samples ({error}); give a NumPy array") from None


def _as_floats(array: np.ndarray[Any, Any]) -> Samples:
    name = array.dtype.name
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what lies beyond float32 becomes infinite, and is refused
            return array.astype(np.float32, copy=False)
    if name == "uint8" or name in _FULL_SCALE:
        zero = 128 if name == "uint8" else 0
        scaled: Samples = ((array.astype(np.float64) - zero) / _FULL_SCALE[name]).astype(np.float32)
        return scaled
    raise AudioError(
        f"samples of type {name} have no full scale that is known; give floats from -1 to 1, int16, int32 or uint8"
    )


def _expected(array: np.ndarray[Any, Any], channels: int | None) -> str:
    count = "1 or 2" if channels is None else str(channels)
    if array.ndim == 3:
        return f"give [{count}, samples], one recording at a time"
    if array.ndim == 2 and array.shape[1] in (1, 2) and array.shape[0] > 2:
        return f"channels come first, [{count}, samples]: transpose it"
    return f"give {'[samples] or ' if channels != 2 else ''}[{count}, samples]"
