"""Every clip through every codec at every bit rate: files made, measured, decoded, aligned and scored, in parallel."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from nac.arrays import Samples
from nac.errors import AudioError, NacError, OptionError
from nac.evaluation.clips import KINDS, Clip, choose, load_audio, mono, same_rate
from nac.evaluation.codecs import Codec, Rates
from nac.evaluation.metrics import METRICS, default_metrics, registry, score
from nac.evaluation.metrics.align import align
from nac.evaluation.sweep.cache import Cache, audio_hash, key_of

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Row:
    """One clip through one codec at one nominal bit rate.

    `bytes`: of the whole file; `seconds`: of the clip; `encode_cpu`, `decode_cpu`: CPU seconds (user and system, with
    the programs that were started). `error`: why there are no scores, or None.
    """

    clip: str
    kind: str
    codec: str
    nominal: float
    bytes: int = 0
    seconds: float = 0.0
    encode_cpu: float = 0.0
    decode_cpu: float = 0.0
    scores: dict[str, float | None] = field(default_factory=dict)
    error: str | None = None

    @property
    def kbps(self) -> float:
        """The true bit rate: all bytes of the file over the duration of the clip."""
        return self.bytes * 8 / 1000 / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Task:
    """What one process does at once."""

    clip: Clip
    codec: Codec
    nominal: float
    metrics: tuple[str, ...]
    cache: Path | None


def available(codecs: Iterable[tuple[Codec, Rates]]) -> tuple[list[tuple[Codec, Rates]], list[str]]:
    """The codecs that can run here, and one line for each of the others."""
    present, lines = [], []
    for codec, rates in codecs:
        reason = codec.missing()
        if reason is None:
            present.append((codec, rates))
        else:
            lines.append(f"{codec.name} is left out: {reason}")
    return present, lines


def sweep(
    clips: Sequence[Clip],
    codecs: Sequence[tuple[Codec, Rates]],
    *,
    metrics: Iterable[str] | None = None,
    slow_clips: int | None = None,
    jobs: int = 1,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """All rows, sorted by kind, codec (in the order given), bit rate and clip.

    `metrics`: names of scores; None for all that are meant for a clip's kind. `slow_clips`: the slow ones (ViSQOL) are
    computed for so many clips of each kind, spread evenly; None for all. `jobs` processes work side by side, each on
    one thread; with 1 everything happens in this process. `cache`: a folder that keeps results, None for none. A clip
    that a codec cannot code gives a row with its `error`.

    Raises:
        AudioError: There is nothing to do.
        OptionError: Two codecs have the same name.
    """
    names = [codec.name for codec, _ in codecs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OptionError(f"two codecs are called {twice[0]}: give their weights files different names")
    chosen = None if metrics is None else tuple(metrics)
    slow = {clip.name for clip in (clips if slow_clips is None else choose(clips, slow_clips))}
    wanted = {clip.name: _wanted(clip, chosen, clip.name in slow) for clip in clips}
    tasks = [
        Task(clip, codec, rate, wanted[clip.name], cache) for codec, rates in codecs for rate in rates for clip in clips
    ]
    if not tasks:
        raise AudioError("nothing to evaluate: there must be at least one clip, one codec and one bit rate")
    rows: list[Row] = []
    for row in _results(tasks, jobs):
        rows.append(row)
        if progress is not None:
            progress(len(rows), len(tasks))
    order = {codec.name: index for index, (codec, _) in enumerate(codecs)}
    kinds = {kind: index for index, kind in enumerate(KINDS)}
    return sorted(
        rows, key=lambda row: (kinds.get(row.kind, len(kinds)), row.kind, order[row.codec], row.nominal, row.clip)
    )


def run(task: Task) -> Row:
    """One row; every failure that lies in the clip, the codec or its tool becomes the row's `error`."""
    clip, codec = task.clip, task.codec
    kind = clip.kind or "other"
    try:
        reference, sample_rate = _load(clip.path)
        seconds = reference.shape[1] / sample_rate
        if not seconds:
            raise AudioError(f"{clip.path} holds no samples")
        cache = Cache(task.cache)
        coded = code(task, reference, sample_rate)
        facts = coded.facts
        wanted = () if codec.lossless else tuple(name for name in task.metrics if METRICS[name].available())
        scores = cached_scores(cache, coded.key, wanted)
        todo = [name for name in wanted if name not in scores]
        if todo or "decode_cpu" not in facts:
            decoded, facts["decode_cpu"] = decode(coded, codec, reference, sample_rate)
            scores |= score(*decoded, sample_rate, metrics=todo)
            cache.write_json(coded.key, facts)
            for name in todo:
                cache.write_json(_score_key(coded.key, name), {"value": scores[name]})
        ordered = {name: scores[name] for name in METRICS if name in scores}
        return Row(
            clip.name,
            kind,
            codec.name,
            task.nominal,
            len(coded.data),
            seconds,
            facts["encode_cpu"],
            facts["decode_cpu"],
            ordered,
        )
    except (NacError, OSError, RuntimeError, ValueError) as error:
        return Row(clip.name, kind, codec.name, task.nominal, error=str(error) or type(error).__name__)


@dataclass
class Coded:
    """A coded clip: the bytes of its file, the key of its results in the cache, CPU seconds as far as known."""

    data: bytes
    key: str
    facts: dict[str, float]


def code(task: Task, reference: Samples, sample_rate: int) -> Coded:
    """The coded file of a task, from the cache or made now."""
    codec, cache = task.codec, Cache(task.cache)
    key = key_of(audio_hash(reference, sample_rate), codec.name, codec.identity(), task.nominal)
    data, facts = cache.read(key, "coded"), cache.read_json(key)
    if data is not None and facts is not None and isinstance(facts.get("encode_cpu"), (int, float)):
        return Coded(data, key, {name: float(str(value)) for name, value in facts.items()})
    codec.prepare()
    with tempfile.TemporaryDirectory() as folder:
        start = _cpu_seconds()
        data = codec.encode(reference, sample_rate, task.nominal, Path(folder))
        times = {"encode_cpu": _cpu_seconds() - start}
    cache.write(key, "coded", data)
    cache.write_json(key, times)
    return Coded(data, key, times)


def decode(coded: Coded, codec: Codec, reference: Samples, sample_rate: int) -> tuple[tuple[Samples, Samples], float]:
    """Reference and decoded signal in equal shape, and the CPU seconds that decoding took.

    The decoded signal is brought to the reference's rate, moved by its delay, and filled with silence where it has
    lost an end; where one of the two is mono, so are both.
    """
    codec.prepare()
    with tempfile.TemporaryDirectory() as folder:
        start = _cpu_seconds()
        decoded, rate = codec.decode(coded.data, sample_rate, Path(folder))
        seconds = _cpu_seconds() - start
    if len(decoded) != len(reference):
        reference, decoded = mono(reference), mono(decoded)
    decoded, _ = align(reference, same_rate(decoded, rate, sample_rate), sample_rate)
    return (reference, decoded), seconds


def cached_scores(cache: Cache, key: str, names: Iterable[str]) -> dict[str, float | None]:
    """Those of the named scores that are known already."""
    found: dict[str, float | None] = {}
    for name in names:
        entry = cache.read_json(_score_key(key, name))
        if entry is None or "value" not in entry:
            continue
        value = entry["value"]
        if value is None or isinstance(value, (int, float)):
            found[name] = value
    return found


def _wanted(clip: Clip, metrics: tuple[str, ...] | None, slow: bool) -> tuple[str, ...]:
    names = metrics or default_metrics(clip.kind if clip.kind in KINDS else None, slow=True)
    return tuple(name for name in names if slow or name not in METRICS or not METRICS[name].slow)


def _score_key(key: str, name: str) -> str:
    packages = [f"{package} {_installed(package)}" for package in METRICS[name].packages]
    return key_of(key, name, registry.VERSION, *packages)


def _installed(module: str) -> str:
    distribution = {"visqol": "visqol-python", "ai_edge_litert": "ai-edge-litert"}.get(module, module)
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _load(path: Path) -> tuple[Samples, int]:
    audio, sample_rate = load_audio(path)
    return np.ascontiguousarray(audio), sample_rate


def _results(tasks: Sequence[Task], jobs: int) -> Iterator[Row]:
    if jobs <= 1 or len(tasks) == 1:
        yield from map(run, tasks)
        return
    # New processes rather than forks: torch and its threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context, initializer=_one_thread) as pool:
        try:
            for future in as_completed([pool.submit(run, task) for task in tasks]):
                yield future.result()
        except BrokenProcessPool:
            raise AudioError("a process of the evaluation died, maybe for want of memory; try fewer jobs") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _one_thread() -> None:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
