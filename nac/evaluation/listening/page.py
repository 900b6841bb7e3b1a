"""A listening test as one HTML page: rating after ITU-R BS.1534 (MUSHRA) and telling apart (ABX).

The page holds everything: sounds, player, answers (in the browser's storage, exported as CSV). `listening_scores` turns
the exported files into scores.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import firwin, oaconvolve

from nac.arrays import Samples
from nac.errors import AudioError, OptionError
from nac.evaluation.clips import Clip
from nac.evaluation.codecs import Codec, Rates
from nac.evaluation.metrics.loudness import loudness
from nac.evaluation.report.examples import decoded_versions
from nac.evaluation.report.render import render
from nac.evaluation.report.write import flac_bytes

REFERENCE = "reference"
ANCHORS = {"anchor 3.5 kHz": 3500, "anchor 7 kHz": 7000}
MAX_VERSIONS = 12  # BS.1534: more cannot be compared in one sitting
MAX_GAIN_DB = 12.0
ANCHOR_SECONDS = 0.02  # length of the low-pass filter: steep, without audible ringing

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Version:
    """One version of a clip: `role` is "reference" (hidden), "anchor" or "codec"; audio `[channels, samples]`."""

    name: str
    role: str
    audio: Samples


@dataclass(frozen=True)
class Item:
    """One clip of the test. The versions are aligned with the reference, of its length, and at its level."""

    name: str
    kind: str | None
    sample_rate: int
    reference: Samples
    versions: tuple[Version, ...]


def make_items(
    clips: Sequence[Clip],
    codecs: Sequence[tuple[Codec, Rates]],
    *,
    seconds: float = 10.0,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> list[Item]:
    """The clips' first `seconds`, through every codec and rate, with hidden reference and anchors.

    Raises:
        OptionError: More versions than can be compared.
        AudioError: A codec failed on a clip.
    """
    wanted = sum(len(rates) for codec, rates in codecs if not codec.lossless)
    if wanted + len(ANCHORS) + 1 > MAX_VERSIONS:
        most = MAX_VERSIONS - len(ANCHORS) - 1
        raise OptionError(f"{wanted} versions of a clip are too many to compare; choose at most {most}")
    items = []
    for clip in clips:
        reference, sample_rate, decoded = decoded_versions(clip, codecs, cache)
        if len(decoded) < wanted:
            raise AudioError(f"a codec failed on {clip.path}; leave out the clip or the codec")
        named = [(label.rsplit(" (", 1)[0], audio) for label, audio in decoded]
        items.append(make_item(clip.name, clip.kind, reference, sample_rate, named, seconds))
        if progress is not None:
            progress(len(items), len(clips))
    return items


def make_item(
    name: str,
    kind: str | None,
    reference: Samples,
    sample_rate: int,
    decoded: Sequence[tuple[str, Samples]],
    seconds: float = 10.0,
) -> Item:
    """Cut, add hidden reference and anchors, match levels, and turn all down together where one would clip.

    `reference` and the `decoded` ones `[channels, samples]`, aligned. Anchors above half the sample rate are left out.
    """
    keep = min(reference.shape[1], int(seconds * sample_rate))
    reference = reference[:, :keep]
    anchors = [
        (label, low_pass(reference, cutoff, sample_rate))
        for label, cutoff in ANCHORS.items()
        if cutoff < 0.45 * sample_rate
    ]
    versions = [Version(REFERENCE, "reference", reference)]
    versions += [Version(label, "anchor", at_level_of(reference, audio, sample_rate)) for label, audio in anchors]
    versions += [
        Version(label, "codec", at_level_of(reference, audio[:, :keep], sample_rate)) for label, audio in decoded
    ]
    peak = max(float(np.abs(version.audio).max(initial=0)) for version in versions)
    gain = np.float32(min(1.0, 0.99 / peak) if peak else 1.0)
    scaled = tuple(Version(version.name, version.role, version.audio * gain) for version in versions)
    return Item(name, kind, sample_rate, reference * gain, scaled)


def low_pass(audio: Samples, cutoff: float, sample_rate: int) -> Samples:
    """`[channels, samples]` without what lies above `cutoff` Hz; a linear-phase filter whose delay is removed."""
    taps = 2 * int(ANCHOR_SECONDS * sample_rate / 2) + 1
    response = firwin(taps, cutoff, fs=sample_rate, window=("kaiser", 7.0))
    filtered = oaconvolve(audio, response[None], axes=1)
    return np.asarray(filtered[:, taps // 2 : taps // 2 + audio.shape[1]], dtype=np.float32)


def at_level_of(reference: Samples, audio: Samples, sample_rate: int) -> Samples:
    """`audio` as loud as `reference` (BS.1770), by at most 12 dB; unchanged if either is silent."""
    wanted, own = loudness(reference, sample_rate), loudness(audio, sample_rate)
    if wanted is None or own is None:
        return audio
    gain = 10 ** (float(np.clip(wanted - own, -MAX_GAIN_DB, MAX_GAIN_DB)) / 20)
    return np.asarray(audio * np.float32(gain), dtype=np.float32)


def listening_page(
    items: Sequence[Item],
    *,
    title: str = "Listening test",
    mushra: bool = True,
    abx: Sequence[str] = (),
    abx_trials: int = 8,
) -> str:
    """Make the page of a listening test.

    Args:
        items: The clips with their versions.
        title: Of the page.
        mushra: Whether all versions of every clip are rated.
        abx: Names of versions to be told from the reference in every clip.
        abx_trials: How often each of these is asked.

    Returns:
        HTML that needs no other file.

    Raises:
        OptionError: There is nothing to do, jinja2 is missing, or a name in `abx` is not a version.
    """
    if not items:
        raise OptionError("a listening test needs at least one clip")
    if not mushra and not abx:
        raise OptionError("there is nothing to do: neither rating nor telling apart was asked for")
    if not 1 <= abx_trials <= 100:
        raise OptionError(f"{abx_trials} trials for each pair are not possible; 1 to 100 are")
    clips, pairs = [], []
    for index, item in enumerate(items):
        names = [version.name for version in item.versions]
        for name in abx:
            if name not in names or name == REFERENCE:
                there = ", ".join(each for each in names if each != REFERENCE)
                raise OptionError(f"{item.name} has no version {name!r} to be told apart; it has {there}")
            pairs.append({"clip": index, "condition": names.index(name)})
        clips.append(
            {
                "name": item.name,
                "kind": item.kind or "",
                "reference": _sound(item.reference, item.sample_rate),
                "versions": [
                    {
                        "name": version.name,
                        "role": version.role,
                        "sound": None if version.role == "reference" else _sound(version.audio, item.sample_rate),
                    }
                    for version in item.versions
                ],
            }
        )
    data = {"mushra": mushra, "abx": pairs, "abxTrials": abx_trials, "clips": clips}
    # Answers are kept under this name: a page with other sounds or another plan starts afresh.
    identity = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]
    folder = Path(__file__).parent / "templates"
    scripts = [(folder / name).read_text(encoding="utf-8") for name in ("player.js", "listening.js")]
    return render(
        folder / "listening.html",
        title=title,
        css=(folder / "listening.css").read_text(encoding="utf-8"),
        script="\n".join([scripts[0], scripts[1].replace('"use strict";\n', "", 1)]),
        # Inside <script>, only "<" could end the data early.
        data=json.dumps({"id": identity, **data}).replace("<", "\\u003c"),
    )


def _sound(audio: Samples, sample_rate: int) -> str:
    return base64.b64encode(flac_bytes(audio, sample_rate)).decode()
