"""Encode a corpus with Ray Data, on one machine or a cluster, into Parquet shards of codes.

\b
    pip install 'nac[cluster]'
    python scripts/encode_corpus.py files.txt codes/ --kbps 6            # a list of audio files, one path a line
    python scripts/encode_corpus.py audio/ codes/ --id-column utterance  # a table: a folder of Parquet files, or one
    python scripts/encode_corpus.py files.txt codes/ --address auto      # on the cluster that this machine is part of

A table has a column of audio files as bytes, or as structs with a field `bytes`; every row group becomes a shard. Paths
must mean the same on all machines. Every input becomes one row: id, codes (little-endian int16, to be read with
`np.frombuffer(codes, "<i2").reshape(channels, codebooks, frames)`; stereo is mid and side, and -1 marks codebooks that
a channel does without), channels, codebooks, frames, sample_rate and samples (of the original), kbps, fingerprint (of
the weights), and error: why an input could not be encoded, in which case there are no codes.

A shard appears when it is complete, and its name follows from its place in the corpus. So a run that was stopped goes
on where it was when it is started again, and work that is repeated after a worker died replaces itself.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from nac.audio import open_audio
from nac.cli.guard import describe
from nac.cli.options import snap_kbps
from nac.cli.pool import processors
from nac.errors import NacError, OptionError
from nac.files import NewFile, replacing

if TYPE_CHECKING:
    from nac.codec import Codec

#: Times that a shard is tried again when its worker dies, before the run ends: an input may be what kills it.
RETRIES = 5


@dataclass(frozen=True)
class Shard:
    """A part of the corpus: some files, or a row group of a table."""

    number: int
    paths: tuple[str, ...]
    row_group: int = -1

    @property
    def name(self) -> str:
        """Of the file with its codes."""
        return f"part-{self.number:06}.parquet"


@dataclass(frozen=True)
class Settings:
    """What the codes depend on, beside the audio."""

    kbps: int
    effort: str
    model: str | None
    id_column: str
    audio_column: str


def shards_of(source: Path, size: int, columns: Sequence[str] = ()) -> list[Shard]:
    """The parts of a corpus: always the same ones for the same source.

    `size` is the number of files in a shard, if it is a list; `columns` must be there, if it is a table. Raises
    OptionError if it is neither.
    """
    tables = sorted(source.glob("*.parquet")) if source.is_dir() else [source] if source.suffix == ".parquet" else []
    if tables:
        import pyarrow.parquet as pq

        groups: list[tuple[str, int]] = []
        for path in tables:
            with pq.ParquetFile(path) as file:
                if missing := set(columns) - set(file.schema_arrow.names):
                    raise OptionError(f"{path} has no column {' and no column '.join(sorted(missing))}")
                groups += [(str(path.resolve()), group) for group in range(file.num_row_groups)]
        return [Shard(number, (path,), group) for number, (path, group) in enumerate(groups)]
    if source.is_dir():
        raise OptionError(f"there are no .parquet files in {source}")
    paths = [line.strip() for line in source.read_text("utf-8").splitlines() if line.strip()]
    if len(set(paths)) < len(paths):
        raise OptionError(f"{source} lists a file twice")
    return [Shard(first // size, tuple(paths[first : first + size])) for first in range(0, len(paths), size)]


class ShardEncoder:
    """Runs in a worker: encodes shards, one after the other."""

    def __init__(self, target: str, settings: Settings) -> None:
        from nac.codec import Codec

        self.target, self.settings = Path(target), settings
        self.codec: Codec = Codec.load(settings.model, threads=1)

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """Encode a shard, given as the fields of `Shard`, and write it; returns what there is to report."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        shard = Shard(int(item["number"]), tuple(item["paths"]), int(item["row_group"]))
        schema = pa.schema(
            [
                ("id", pa.string()),
                ("codes", pa.binary()),
                ("channels", pa.uint8()),
                ("codebooks", pa.uint8()),
                ("frames", pa.uint32()),
                ("sample_rate", pa.uint32()),
                ("samples", pa.uint64()),
                ("kbps", pa.uint8()),
                ("fingerprint", pa.uint32()),
                ("error", pa.string()),
            ]
        )
        rows: list[dict[str, Any]] = []
        count = failed = 0
        with NewFile(self.target / shard.name) as new, pq.ParquetWriter(new.file, schema, compression="zstd") as writer:
            for name, audio in self._inputs(shard):
                rows.append({"id": name, **self._row(audio)})
                count, failed = count + 1, failed + (rows[-1]["error"] is not None)
                if len(rows) == 256:
                    writer.write_table(pa.Table.from_pylist(rows, schema))
                    rows = []
            writer.write_table(pa.Table.from_pylist(rows, schema))
        return {"shard": shard.name, "rows": count, "failed": failed}

    def _inputs(self, shard: Shard) -> Iterator[tuple[str, str | bytes]]:
        if shard.row_group < 0:
            yield from zip(shard.paths, shard.paths, strict=True)
            return
        import pyarrow.parquet as pq

        names = [self.settings.id_column, self.settings.audio_column]
        (path,) = shard.paths
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(16, row_groups=[shard.row_group], columns=names):
                for row in batch.to_pylist():
                    audio = row[names[1]]
                    yield str(row[names[0]]), audio["bytes"] if isinstance(audio, dict) else audio

    def _row(self, audio: str | bytes) -> dict[str, Any]:
        about: dict[str, Any] = {"kbps": self.settings.kbps, "fingerprint": self.codec.fingerprint, "error": None}
        try:
            if audio is None:
                raise NacError("there is no audio")
            with open_audio(io.BytesIO(audio) if isinstance(audio, bytes) else audio) as reader:
                samples = np.concatenate([np.zeros((reader.channels, 0), np.float32), *reader.blocks()], 1)
                codes = self.codec.encode_codes(samples, reader.sample_rate, self.settings.kbps, self.settings.effort)
                channels, codebooks, frames = codes.shape
                return {
                    **about,
                    "codes": codes.astype("<i2").tobytes(),
                    "channels": channels,
                    "codebooks": codebooks,
                    "frames": frames,
                    "sample_rate": reader.sample_rate,
                    "samples": samples.shape[1],
                }
        except (NacError, OSError) as error:
            return {**about, "error": " ".join(str(error).split())}


def agree(target: Path, shards: list[Shard], settings: Settings, codec: Codec) -> None:
    """Note what the shards in a folder are made of; raises OptionError if those in it are made of something else."""
    digest = hashlib.sha256(json.dumps([asdict(shard) for shard in shards]).encode()).hexdigest()
    plan = (
        json.dumps(
            {
                "corpus": digest,
                "shards": len(shards),
                "fingerprint": f"{codec.fingerprint:08x}",
                "generation": codec.generation,
                **asdict(settings),
            },
            indent=1,
        )
        + "\n"
    )
    note = target / "plan.json"
    if not note.exists():
        target.mkdir(parents=True, exist_ok=True)
        with replacing(note) as unfinished:
            unfinished.write_text(plan, "utf-8")
    elif note.read_text("utf-8") != plan:
        raise OptionError(f"{target} holds codes of another corpus, or made with other options; choose another folder")


def encode_all(shards: Iterable[Shard], target: Path, settings: Settings, workers: int) -> Iterator[dict[str, Any]]:
    """Encode shards on the running Ray; yields a report of each, in any order."""
    import ray.data

    items = [asdict(shard) | {"paths": list(shard.paths)} for shard in shards]
    encoder: Any = ShardEncoder  # Ray makes one in every worker
    work = ray.data.from_items(items, override_num_blocks=len(items)).map(
        encoder,
        fn_constructor_args=(str(target), settings),
        num_cpus=1,
        max_restarts=-1,
        max_task_retries=RETRIES,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    yield from work.iter_rows()


@click.command(help=__doc__)
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@click.option("--kbps", "-b", default=6.0, show_default=True, help="Bit rate: whole numbers from 1 to 24.")
@click.option("--effort", "-e", default="default", show_default=True, help="fast, default, best, or a width 1 to 64.")
@click.option("--model", metavar="PATH", help="Weights file to use instead of the one in the package.")
@click.option("--shard-files", default=256, show_default=True, type=click.IntRange(1), help="Files in a shard.")
@click.option("--id-column", default="id", show_default=True, help="Column of a table with the name of each row.")
@click.option("--audio-column", default="audio", show_default=True, help="Column of a table with the audio files.")
@click.option("--workers", type=click.IntRange(1), help="Workers, each with one processor. [default: all processors]")
@click.option("--address", help="Ray cluster to use; without it, one is started on this machine.")
def main(
    source: Path,
    target: Path,
    kbps: float,
    effort: str,
    model: str | None,
    shard_files: int,
    id_column: str,
    audio_column: str,
    workers: int | None,
    address: str | None,
) -> None:
    try:
        import ray
        import ray.data
    except ImportError:
        raise click.ClickException("this needs Ray: pip install 'nac[cluster]'") from None
    try:
        from nac.codec import Codec, beam_width

        beam_width(effort)
        weights = None if model is None else str(Path(model).resolve())
        settings = Settings(snap_kbps(kbps), effort, weights, id_column, audio_column)
        shards = shards_of(source, shard_files, (id_column, audio_column))
        target = target.resolve()
        agree(target, shards, settings, Codec.load(model))
        missing = [shard for shard in shards if not (target / shard.name).exists()]
        rows = failed = 0
        if missing:
            here: dict[str, Any] = {} if address else {"num_cpus": workers or processors(), "include_dashboard": False}
            ray.init(address=address, log_to_driver=False, **here)
            ray.data.DataContext.get_current().enable_progress_bars = False
            resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
            count = workers or max(1, int(resources.get("CPU", 1)))
            for done in encode_all(missing, target, settings, min(count, len(missing))):
                rows, failed = rows + done["rows"], failed + done["failed"]
                click.echo(f"{done['shard']}: {done['rows']} rows, {done['failed']} failed", err=True)
        click.echo(
            f"{len(missing)} shards done, {len(shards) - len(missing)} there already; {rows} rows, {failed} failed",
            err=True,
        )
    except ray.exceptions.RayError as error:
        raise click.ClickException(f"{' '.join(str(error).split())[:500]}; run this again to go on") from None
    except (NacError, OSError) as error:
        raise click.ClickException(describe(error)) from None
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
