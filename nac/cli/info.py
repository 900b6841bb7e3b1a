"""`nac info`: what a file is and how it is doing, without loading the model."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from nac.cli.batch import STDIO
from nac.cli.guard import DAMAGED, FAILED, describe, say
from nac.cli.options import damage_line, show_time, shown_name
from nac.cli.survey import Survey, Survey0, Weights, find_weights, survey
from nac.errors import NacError


@click.command(short_help="Tell what .nac files hold and whether they are intact.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line and file, for programs.")
@click.option("--model", metavar="PATH", help="Weights file to compare with instead of the one in the package.")
def info(files: tuple[str, ...], as_json: bool, model: str | None) -> int:
    """Tell what .nac files hold, their true bit rate, and whether every block is intact.

    Bit rates: nominal is what was asked for, of codes counts the bytes of the codes alone, of the file counts all of
    its bytes. The bandwidth is the highest frequency that is coded.

    \b
    Examples:
      nac info out.nac
      nac info --json *.nac
    """
    weights = find_weights(model)[1]
    code = 0
    for number, path in enumerate(files):
        try:
            found = _survey(path)
        except (NacError, OSError) as error:
            say(describe(error, shown_name(path)))
            code = FAILED
            continue
        if as_json:
            click.echo(json.dumps({"file": path, **facts(found, weights)}, ensure_ascii=False))
        else:
            click.echo(("\n" if number else "") + shown_name(path))
            for name, value in describe_file(found, weights):
                click.echo(f"  {name:<11} {value}")
        if isinstance(found, Survey) and found.damage and code != FAILED:
            code = DAMAGED
    return code


def _survey(path: str) -> Survey | Survey0:
    if path == STDIO:
        return survey(sys.stdin.buffer)
    with open(path, "rb") as stream:
        return survey(stream)


def facts(found: Survey | Survey0, weights: Weights | None) -> dict[str, Any]:
    """Everything `info` knows, as JSON holds it: times in seconds, rates in Hz and kbps, sizes in bytes."""
    if isinstance(found, Survey0):
        return {
            "version": 0,
            "nominal_kbps": found.header.kbps,
            "estimated_duration": found.duration,
            "bytes": found.total_bytes,
            "payload_bytes": found.payload_bytes,
            "metadata": found.header.metadata,
        }
    meta = found.metadata
    matches = weights is not None and weights.fingerprint == meta.fingerprint
    return {
        "version": 1,
        "duration": found.duration,
        "samples": found.samples,
        "sample_rate": meta.sample_rate,
        "channels": meta.channels,
        "model": meta.model,
        "fingerprint": f"{meta.fingerprint:08x}",
        "weights_match": matches if weights is not None else None,
        "generation": weights.generation if weights is not None and matches else None,
        "nominal_kbps": meta.kbps,
        "codes_kbps": found.kbps(found.payload_bytes),
        "file_kbps": found.kbps(found.total_bytes),
        "bandwidth": found.bandwidth,
        "codebooks": meta.codebooks,
        "bits": meta.bits,
        "frame_rate": meta.frame_rate,
        "frames": found.frames,
        "blocks": found.blocks,
        "bytes": found.total_bytes,
        "payload_bytes": found.payload_bytes,
        "ratio": found.ratio,
        "intact": not found.damage,
        "damage": [
            {"first_frame": item.first_frame, "frames": item.frames, "reason": item.reason} for item in found.damage
        ],
        "tags": [list(tag) for tag in meta.tags],
    }


def describe_file(found: Survey | Survey0, weights: Weights | None) -> list[tuple[str, str]]:
    """The lines of `info` for people, as (name, value)."""
    if isinstance(found, Survey0):
        return _describe_version0(found)
    meta = found.metadata
    codes, whole, ratio = found.kbps(found.payload_bytes), found.kbps(found.total_bytes), found.ratio
    rates = [f"{meta.kbps} kbps nominal"]
    if codes is not None and whole is not None:
        rates += [f"{codes:.2f} of codes", f"{whole:.2f} of the file"]
    size = f"{found.total_bytes:,} bytes"
    if ratio is not None:
        size += f", {ratio:.1f} times smaller than 16-bit PCM"
    lines = [
        ("duration", _duration(found)),
        ("original", f"{meta.sample_rate} Hz, {'stereo' if meta.channels == 2 else 'mono'}"),
        ("model", f"{meta.model} (fingerprint {meta.fingerprint:08x}); {_match(meta.fingerprint, weights)}"),
        ("bit rate", ", ".join(rates)),
        ("bandwidth", f"up to {found.bandwidth / 1000:g} kHz"),
        ("codes", f"{meta.codebooks} codebooks of {1 << meta.bits} codes, {meta.frame_rate} frames a second"),
        ("size", size),
        ("checksums", _health(found)),
    ]
    lines += [("damage", damage_line(item, meta.frame_rate)) for item in found.damage]
    lines += [("tag", f"{key}={value}") for key, value in meta.tags]
    return [(name, _printable(value)) for name, value in lines]


def _duration(found: Survey) -> str:
    if found.samples is None:
        return f"about {show_time(found.duration)} (the end, which tells the number of samples, is missing)"
    return f"{show_time(found.duration)} ({found.samples:,} samples)"


def _match(fingerprint: int, weights: Weights | None) -> str:
    if weights is None:
        return "there are no weights here to compare with"
    if weights.fingerprint != fingerprint:
        return f"the weights here are others ({weights.fingerprint:08x}) and cannot decode it"
    return "the weights here decode it" + (f", generation {weights.generation}" if weights.generation else "")


def _health(found: Survey) -> str:
    if not found.damage:
        return f"intact ({found.blocks:,} blocks)"
    return f"DAMAGED ({found.blocks:,} blocks are intact)"


def _describe_version0(found: Survey0) -> list[tuple[str, str]]:
    return [
        ("version", "0, of an older program; it can be explained but not decoded"),
        ("duration", f"about {show_time(found.duration)} (estimated from the size; the file does not tell)"),
        ("bit rate", f"{found.header.kbps} kbps nominal"),
        ("size", f"{found.total_bytes:,} bytes, {found.payload_bytes:,} of them codes"),
        ("unknown", "original rate, channels, length and model; there are no checksums"),
        ("metadata", _printable(found.header.metadata)),
    ]


def _printable(text: str) -> str:
    """Text from a file without the control characters that could confuse a terminal."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
