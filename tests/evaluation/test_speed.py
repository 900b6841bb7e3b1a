"""What the benchmark stands on. Times are never compared: they are only there, and those of all that was asked for."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from nac.errors import NacError
from nac.evaluation.benchmark.commands import Run, edits, run_command, write_codes
from nac.evaluation.benchmark.complexity import parts
from nac.evaluation.benchmark.speed import measure_tool
from nac.evaluation.codecs import tools
from nac.evaluation.report.plots import save
from nac.format.check import check
from nac.format.frames import read_frames
from nac.format.header import read_header
from nac.models.layers import DepthwiseConv
from nac.packaged import table_library
from tests.conftest import small_model


@pytest.mark.slow
def test_products_are_those_of_the_layers() -> None:
    """The count of the running model is what its layers' sizes say."""
    model = small_model(codebook_size=1024)
    config, frames = model.config, 50
    counted = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
        nonlocal counted
        counted += layer.weight.numel() * inputs[0].shape[1]

    for layer in model.modules():
        if isinstance(layer, (nn.Linear, DepthwiseConv)):
            layer.register_forward_hook(count)
    bands = (
        frames * config.hop * config.n_bands
    )  # energies of the bands: once in the encoder, to and fro in the decoder
    with torch.no_grad():
        model.analyse(torch.zeros(1, 24_000))
        encoder, counted = counted + bands, 0
        model.synthesise(torch.zeros(1, frames, config.latent_dim), torch.zeros(1, frames, dtype=torch.long))
        decoder = counted + 2 * bands
    found = {part.name: part for part in parts(model, 6, {"greedy": 1, "wide": 4})}
    assert found["encoder"].products == encoder
    assert found["decoder"].products == decoder
    assert found["encoder"].parameters == sum(p.numel() for p in model.encoder.parameters())
    books = sum(config.codebook_size * config.codebook_dim(index) for index in range(12))
    assert found["codebook search, greedy"].parameters == books
    # Two rows more of every codebook's matrix give the power that is left.
    assert found["codebook search, greedy"].products == frames * (books + 12 * 2 * config.codebook_size)
    # Of 12 stages all but the first, and the one after the anchor at 6, go on from four paths.
    low = config.codebook_size * (config.codebook_dim(0) + 2)
    assert found["codebook search, wide"].products == frames * low * (2 + 10 * 4)


def test_run_command_accounts_and_reports_failure() -> None:
    run = run_command([sys.executable, "-c", "x = bytearray(300_000_000)"])
    assert run.peak > 300
    with pytest.raises(NacError, match="failed with code 3"):
        run_command([sys.executable, "-c", "raise SystemExit(3)"])


def test_codes_of_noise_are_an_intact_file(tmp_path: Path) -> None:
    write_codes(tmp_path / "a.nac", 61.5, 24)
    report = check(tmp_path / "a.nac")
    assert report.intact and report.duration == 61.5 and report.kbps == 24


@pytest.mark.slow
def test_edits_are_timed() -> None:
    times = edits(minutes=1)
    assert {name.split(" (")[0] for name in times} == {"nac reduce", "nac trim", "nac cat", "nac tag"}
    assert all(value > 0 for value in times.values())


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2])
def test_likely_codes_are_an_intact_file_and_smaller(tmp_path: Path, channels: int) -> None:
    write_codes(tmp_path / "packed.nac", 61.5, 24, channels=channels)
    write_codes(tmp_path / "coded.nac", 61.5, 24, entropy=True, channels=channels)
    report = check(tmp_path / "coded.nac")
    assert report.intact and report.duration == 61.5 and report.kbps == 24
    sizes = [(tmp_path / f"{name}.nac").stat().st_size for name in ("coded", "packed")]
    assert 0.4 * sizes[1] < sizes[0] < 0.95 * sizes[1]
    with (tmp_path / "coded.nac").open("rb") as stream:
        assert sum(map(len, read_frames(stream, read_header(stream), table_library()))) == report.frames


@pytest.mark.parametrize("name", ["opus", "mp3"])
def test_tools_are_timed_where_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if tools.TOOLS[name].missing() is None:
        speed = measure_tool(name, seconds=1, rounds=1)
        assert speed is not None
    monkeypatch.setattr(tools.shutil, "which", lambda program: None)
    assert measure_tool(name) is None


def test_chart_of_any_lengths(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from nac.evaluation.benchmark.charts import length_chart

    for lengths in ([6.0], [1, 10, 3600]):
        save(length_chart([(n, Run(n / 9, n, 400), Run(n / 20, n, 9000)) for n in lengths]), tmp_path / "a.png")
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
