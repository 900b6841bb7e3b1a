"""`nac info`: what a file is and how it is doing, without loading the model."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from nac.cli.guard import DAMAGED, FAILED, describe, echo_error
from nac.cli.options import damage_line, printable, shown_name, source_of
from nac.cli.paths import expanded
from nac.cli.weights import Weights, find_weights
from nac.errors import NacError
from nac.extensions import NAC_EXTENSIONS
from nac.format.check import Report, check
from nac.format.header import HOP, Metadata
from nac.format.layout import ENTROPY, ENTROPY_CODINGS
from nac.packaged import advice
from nac.times import show_time


@click.command(short_help="Tell what .nac files hold and whether they are intact.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line and file, for programs.")
@click.option("--model", metavar="PATH", help="Weights file to compare with instead of the one in the package.")
def info(files: tuple[str, ...], as_json: bool, model: str | None) -> int:
    """Tell what .nac files hold, their true bit rate, and whether every block is intact. A folder stands for all in it.

    Bit rates: nominal is what was asked for, of codes counts the bytes of the codes alone, of the file counts all of
    its bytes. The bandwidth is the highest frequency that is coded.

    \b
    Examples:
      nac info out.nac
      nac info --json *.nac
    """
    weights = find_weights(model)
    code = 0
    for number, path in enumerate(expanded(files, NAC_EXTENSIONS)):
        try:
            report = check(source_of(path))
        except (NacError, OSError) as error:
            echo_error(describe(error, shown_name(path)))
            code = FAILED
            continue
        if as_json:
            click.echo(json.dumps({"file": path, **facts(report, weights)}, ensure_ascii=not is_utf8(path)))
        else:
            click.echo(("\n" if number else "") + shown_name(path))
            for name, value in describe_file(report, weights):
                click.echo(f"  {name:<11} {value}")
        if report.damage and code != FAILED:
            code = DAMAGED
    return code


def is_utf8(path: str) -> bool:
    """Whether standard output takes every letter as it is, and the path is text: JSON knows no other escapes."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    return encoding == "utf8" and path.isprintable()


# 16-bit PCM, which everybody knows the size of.
PCM_BYTES = 2


def facts(report: Report, weights: Weights | None) -> dict[str, Any]:
    """Everything `info` knows, as JSON holds it: times in seconds, rates in Hz and kbps, sizes in bytes."""
    sizes = {"bytes": report.total_bytes, "payload_bytes": report.payload_bytes}
    meta = report.metadata
    if meta is None:
        return {"version": 0, "nominal_kbps": report.kbps, "estimated_duration": report.duration, **sizes}
    matches = None if weights is None else weights.fingerprint == meta.fingerprint
    return {
        "version": report.version,
        "duration": report.duration,
        "samples": report.samples,
        "sample_rate": meta.sample_rate,
        "channels": meta.channels,
        "model": meta.model,
        "fingerprint": f"{meta.fingerprint:08x}",
        "weights_match": matches,
        "generation": weights.generation if weights is not None and matches else None,
        "nominal_kbps": report.kbps,
        "codes_kbps": report.payload_kbps,
        "file_kbps": report.total_kbps,
        "bandwidth": _bandwidth(meta),
        "codebooks": meta.codebooks,
        "bits": meta.bits,
        "coding": meta.coding,
        "entropy_coded": meta.coding in ENTROPY_CODINGS,
        "frame_rate": meta.frame_rate,
        "frames": report.frames,
        "blocks": report.intact_blocks + report.damaged_blocks,
        **sizes,
        "ratio": _ratio(report, meta),
        "intact": report.intact,
        "damaged_blocks": report.damaged_blocks,
        "damage": [
            {"first_frame": item.first_frame, "frames": item.frames, "reason": item.reason} for item in report.damage
        ],
        "tags": [list(tag) for tag in meta.tags],
    }


def describe_file(report: Report, weights: Weights | None) -> list[tuple[str, str]]:
    """The lines of `info` for people, as (name, value)."""
    meta = report.metadata
    if meta is None:
        return _describe_version0(report)
    rates = [f"{report.kbps} kbps nominal"]
    if report.payload_kbps is not None and report.total_kbps is not None:
        rates += [f"{report.payload_kbps:.2f} of codes", f"{report.total_kbps:.2f} of the file"]
    ratio = _ratio(report, meta)
    smaller = "" if ratio is None else f", {ratio:.1f} times smaller than 16-bit PCM"
    lines = [
        ("duration", _duration(report)),
        ("original", f"{meta.sample_rate} Hz, {'stereo' if meta.channels == 2 else 'mono'}"),
        ("model", f"{meta.model} (fingerprint {meta.fingerprint:08x}); {_match(meta.fingerprint, weights)}"),
        ("bit rate", ", ".join(rates)),
        ("bandwidth", f"up to {_bandwidth(meta) / 1000:g} kHz"),
        ("codes", f"{meta.codebooks} codebooks of {1 << meta.bits} codes, {meta.frame_rate} frames a second"),
        ("coding", _coding(meta)),
        ("size", f"{report.total_bytes:,} bytes{smaller}"),
        ("checksums", _health(report)),
        *(("damage", damage_line(item, meta.frame_rate)) for item in report.damage),
        *(("tag", f"{key}={value}") for key, value in meta.tags),
    ]
    return [(name, printable(value)) for name, value in lines]


def _coding(meta: Metadata) -> str:
    if meta.coding not in ENTROPY_CODINGS:
        return "packed"
    how = "entropy coded in sections" if meta.coding == ENTROPY else "entropy coded"
    return how + ("" if meta.tables is None else f" (tables {meta.tables:08x})")


def _bandwidth(meta: Metadata) -> float:
    """Highest coded frequency in Hz: half the lower one of the sample rates of the original and the model."""
    return min(meta.sample_rate, meta.frame_rate * HOP) / 2


def _ratio(report: Report, meta: Metadata) -> float | None:
    """How many times smaller than the same audio as 16-bit PCM."""
    original = report.duration * meta.sample_rate * meta.channels * PCM_BYTES
    return original / report.total_bytes if original else None


def _duration(report: Report) -> str:
    if report.samples is None:
        return f"about {show_time(report.duration)} (the end, which tells the number of samples, is missing)"
    return f"{show_time(report.duration)} ({report.samples:,} samples)"


def _match(fingerprint: int, weights: Weights | None) -> str:
    if weights is None:
        return "there are no weights here to compare with"
    if weights.fingerprint != fingerprint:
        return f"the weights here are others ({weights.fingerprint:08x}) and cannot decode it; {advice(fingerprint)}"
    return "the weights here decode it" + (f", generation {weights.generation}" if weights.generation else "")


def _health(report: Report) -> str:
    if report.intact:
        return f"intact ({report.intact_blocks:,} blocks)"
    return f"DAMAGED: {report.damaged_blocks:,} of {report.damaged_blocks + report.intact_blocks:,} blocks are lost"


def _describe_version0(report: Report) -> list[tuple[str, str]]:
    return [
        ("version", "0, of an older program; it can be explained but not decoded"),
        ("duration", f"about {show_time(report.duration)} (estimated from the size; the file does not tell)"),
        ("bit rate", f"{report.kbps} kbps nominal"),
        ("size", f"{report.total_bytes:,} bytes, {report.payload_bytes:,} of them codes"),
        ("unknown", "original rate, channels, length and model; there are no checksums"),
    ]
