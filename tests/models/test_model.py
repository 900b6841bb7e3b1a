"""The linear start, the quantizer and the weights file."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from nac.errors import WeightsError
from nac.models.config import ModelConfig
from nac.models.model import NacModel
from nac.models.quantizer import COMMIT_POINTS, k_smallest
from nac.models.transform import compress, expand, level_to_log, log_to_level, mdct_basis, noise_table
from nac.models.weights import load_model, parameter_names, save_model
from nac.synthetic import speech_like
from tests.conftest import SMALL, small_model


def test_transform_reconstructs() -> None:
    basis = mdct_basis(480)
    signal = torch.randn(480 * 12)
    frames = torch.nn.functional.pad(signal, (480, 480)).unfold(0, 960, 480) @ basis
    halves = (frames @ basis.T).view(-1, 2, 480)
    torch.testing.assert_close((halves[1:, 0] + halves[:-1, 1]).flatten(), signal, atol=1e-4, rtol=0)


def test_companding_inverts() -> None:
    x = torch.linspace(-4, 4, 1001)
    torch.testing.assert_close(expand(compress(x, 0.6), 0.6), x, atol=1e-5, rtol=1e-4)
    level = torch.logspace(-4, 1, 50)
    torch.testing.assert_close(log_to_level(level_to_log(level, 0.1), 0.1), level, atol=1e-6, rtol=1e-3)


def test_noise_is_fixed_and_white() -> None:
    table = noise_table(480)
    assert abs(float(table.square().mean()) - 1) < 0.01
    assert abs(float((table[:, 1:] * table[:, :-1]).mean())) < 0.01
    assert abs(float((table[1:] * table[:-1]).mean())) < 0.01
    # Files are decoded with it for ever.
    assert hashlib.sha256(table.numpy().astype("<f4").tobytes()).hexdigest().startswith("a8d83d82bffb7816")


def test_untrained_model_is_the_linear_codec() -> None:
    """The latent of the start, not quantized, gives the band below 8 kHz back."""
    torch.manual_seed(0)
    model = NacModel(SMALL).eval()
    t = np.arange(24_000) / 24_000
    signal = torch.from_numpy(0.3 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 3000 * t)).float()
    with torch.inference_mode():
        latent = model.analyse(torch.nn.functional.pad(signal, (0, 480))[None])
        out = model.synthesise(latent, torch.full(latent.shape[:2], 48))[0, 480:]
    error = (out - signal).square().mean() / signal.square().mean()
    assert float(error) < 1e-3


def test_decoding_codes_adds_the_codebooks() -> None:
    model = small_model()
    codes = torch.tensor([[[3, 5], [7, -1]]])
    latent = model.quantizer.decode(codes)
    books = model.quantizer.codebooks
    torch.testing.assert_close(latent[0, 0], books[0, 3] + books[1, 7])
    torch.testing.assert_close(latent[0, 1], books[0, 5])


def test_greedy_search_takes_the_nearest_code() -> None:
    model = small_model()
    latent = torch.randn(9, model.config.latent_dim) * 0.1
    codes = model.quantizer.encode(latent, 14)
    residual = latent.clone()
    for stage in range(14):
        size = model.config.codebook_dim(stage)
        distance = (residual[:, None, :size] - model.quantizer.stage(stage)).square().sum(-1)
        assert (distance.gather(1, codes[:, stage : stage + 1])[:, 0] <= distance.min(1).values + 1e-4).all()
        residual = residual - model.quantizer.codebooks[stage][codes[:, stage]]


def test_a_wider_beam_finds_better_codes() -> None:
    model = small_model()
    latent = torch.randn(40, model.config.latent_dim) * 0.1
    errors = []
    for beam in (1, 4, 16):
        codes = model.quantizer.encode(latent, 12, beam)
        errors.append(float((model.quantizer.decode(codes.T[None])[0] - latent).square().sum()))
    assert errors[0] > errors[1] > errors[2]


def test_search_takes_the_codebooks_as_they_are_now() -> None:
    """What is laid out for the search is laid out anew after every way to change the codebooks."""
    model, other = small_model(), small_model(seed=1)
    latent = torch.randn(20, model.config.latent_dim) * 0.1
    before, expected = model.quantizer.encode(latent, 6), other.quantizer.encode(latent, 6)
    assert not torch.equal(before, expected)
    saved = model.quantizer.codebooks.clone()
    model.quantizer.codebooks[:6] = other.quantizer.codebooks[:6]
    assert torch.equal(model.quantizer.encode(latent, 6), expected)
    model.quantizer.load_state_dict({"codebooks": saved})
    assert torch.equal(model.quantizer.encode(latent, 6), before)
    model.quantizer.codebooks = other.quantizer.codebooks
    assert torch.equal(model.quantizer.encode(latent, 6), expected)


@pytest.mark.parametrize("beam", [1, 4])
def test_codes_of_a_lower_rate_are_a_prefix(beam: int) -> None:
    model = small_model()
    latent = torch.randn(20, model.config.latent_dim) * 0.1
    whole = model.quantizer.encode(latent, 48, beam)
    for stages in COMMIT_POINTS:
        assert torch.equal(model.quantizer.encode(latent, stages, beam), whole[:, :stages])


@pytest.mark.parametrize(("rows", "n", "count"), [(5, 1024, 1), (5, 1024, 8), (3, 96, 5), (4, 50, 8), (2, 8192, 24)])
def test_smallest_agrees_with_sorting(rows: int, n: int, count: int) -> None:
    x = torch.randn(rows, n)
    values, positions = k_smallest(x, count)
    torch.testing.assert_close(values.sort(1).values, x.sort(1).values[:, :count])
    torch.testing.assert_close(x.gather(1, positions), values)


def test_weights_round_trip(tmp_path: Path) -> None:
    model = small_model()
    number = save_model(model, tmp_path / "a.safetensors", generation=2, notes={"hours": "1.5"})
    loaded, notes = load_model(tmp_path / "a.safetensors")
    assert notes["generation"] == "2" and notes["hours"] == "1.5" and int(notes["fingerprint"], 16) == number
    assert loaded.config == model.config
    samples = torch.from_numpy(speech_like(9600))[None]
    with torch.inference_mode():
        a, b = model.analyse(samples), loaded.analyse(samples)
    assert float((a - b).square().mean() / a.square().mean()) < 1e-3
    error = (loaded.quantizer.codebooks - model.quantizer.codebooks).square().mean()
    assert float(error / model.quantizer.codebooks.square().mean()) < 1e-3


def test_names_in_files_are_for_ever(small_weights: Path) -> None:
    """A parameter that was renamed keeps its name in files; checkpoints of either name are understood."""
    parameters, tensors = small_model().state_dict(), load_file(small_weights)
    stored = {name.removesuffix(".codes").removesuffix(".steps") for name in tensors}
    assert set(parameters) - stored == {"quantizer.codebooks", "decoder.n_codebooks_embedding"}
    assert stored - set(parameters) == {"quantizer", "decoder.rate"}
    assert parameter_names({"decoder.rate": tensors["decoder.rate.codes"]}).keys() == {"decoder.n_codebooks_embedding"}
    assert parameter_names(parameters).keys() == parameters.keys()


def _damage(tensors: dict[str, torch.Tensor], how: str) -> dict[str, torch.Tensor]:
    name = "encoder.inner.weight"
    if how == "missing":
        del tensors[name]
    elif how == "shape":
        tensors[name] = tensors[name][1:].clone()
    elif how == "nan":
        tensors[name][0, 0] = float("nan")
    elif how == "codes":
        tensors["quantizer.codes"][0, 0, 0] += 1
    elif how == "no codes":
        del tensors["quantizer.codes"]
    return tensors


@pytest.mark.parametrize("how", ["missing", "shape", "nan", "codes", "no codes"])
def test_broken_weights_are_refused(tmp_path: Path, small_weights: Path, how: str) -> None:
    with safe_open(small_weights, "pt") as file:
        metadata = file.metadata()
    path = tmp_path / "broken.safetensors"
    save_file(_damage(load_file(small_weights), how), path, metadata)
    with pytest.raises(WeightsError):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"not weights", b"\xff" * 100, (1 << 62).to_bytes(8, "little") + b"{}"])
def test_files_that_are_no_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        load_model(path)
    with pytest.raises(WeightsError):
        load_model(tmp_path / "absent.safetensors")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"hop": 3}',
        '{"codebooks": 0}',
        '{"strides": [4, 4]}',
        '{"low": 100}',
        '{"encoder_width": 100000000}',
        '{"codebook_size": "many"}',
    ],
)
def test_unknown_configs_are_refused(text: str) -> None:
    with pytest.raises(WeightsError):
        ModelConfig.from_json(text)
