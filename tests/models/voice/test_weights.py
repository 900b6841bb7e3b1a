"""A model with voices in a weights file."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from nac.errors import WeightsError
from nac.models.config import ModelConfig, VoiceConfig
from nac.models.int8 import quantize
from nac.models.model import NacModel
from nac.models.weights import estimated_parameters, fingerprint, load_model, save_model
from tests.conftest import small_model
from tests.models.voice.small import SIZE, small_decoder
from tests.models.voice.small import SMALL as VOICE
from tests.models.voice.test_decoder import decode, random_codes


def voice_model() -> NacModel:
    model = small_model(voice=VOICE, codebook_size=SIZE)
    assert model.voice is not None
    model.voice.load_state_dict(small_decoder().state_dict())
    return model


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "voice.safetensors"
    save_model(voice_model(), path, generation=1)
    return path


def changed(weights: Path, path: Path, change: Callable[[dict[str, Tensor]], None]) -> Path:
    tensors = load_file(weights)
    change(tensors)
    with safe_open(weights, "pt") as file:
        save_file(tensors, path, file.metadata())
    return path


def test_what_was_saved_sounds_the_same(weights: Path) -> None:
    model, _ = load_model(weights)
    assert model.config.voice == VOICE and model.voice is not None
    before, after = decode(*random_codes(30), []), decode(*random_codes(30), [], model.voice)
    assert (after - before).std() < 0.03 * before.std()
    assert model.voice.quantizer.prediction.dtype == torch.float32


def test_the_general_model_in_it_is_as_it_was(weights: Path) -> None:
    """The voice model adds tensors to a file and changes none."""
    alone = small_model(codebook_size=SIZE)
    own = alone.state_dict().keys()
    alone.load_state_dict({name: value for name, value in voice_model().state_dict().items() if name in own})
    save_model(alone, weights.with_name("alone.safetensors"), generation=1)
    both, general = load_file(weights), load_file(weights.with_name("alone.safetensors"))
    assert all(torch.equal(both[name], value) for name, value in general.items())
    assert all(name.startswith(("voice.", "mode.")) for name in both.keys() - general.keys())


@pytest.mark.parametrize(
    "name", ["voice.quantizer.prediction", "voice.low_band.bands.1.codebooks", "voice.spectrum.basis"]
)
def test_what_the_codes_mean_is_in_the_fingerprint(weights: Path, tmp_path: Path, name: str) -> None:
    def spoil(tensors: dict[str, Tensor]) -> None:
        tensors[name] = tensors[name] * 0.999

    with pytest.raises(WeightsError, match="fingerprint"):
        load_model(changed(weights, tmp_path / "a.safetensors", spoil))


def test_how_codes_sound_is_not_in_the_fingerprint(weights: Path, tmp_path: Path) -> None:
    def improve(tensors: dict[str, Tensor]) -> None:
        for name in tensors:
            if name.startswith(("voice.refinement.", "voice.control.")) and not name.endswith(".codes"):
                tensors[name] = tensors[name] * 1.5

    load_model(changed(weights, tmp_path / "a.safetensors", improve))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("voice.quantizer.prediction", float("nan"), "finite"),
        ("voice.quantizer.prediction", 1.0, "spectral radius"),
        ("voice.quantizer.weights", 0.0, "weights features"),
        ("voice.control.deviation", 0.0, "deviations"),
        ("voice.refinement.out.weight.steps", float("inf"), "finite"),
        ("voice.quantizer.residual.codebooks", None, "lacks voice.quantizer.residual.codebooks"),
        ("voice.refinement.inner.weight.codes", None, "lacks voice.refinement.inner.weight.codes"),
    ],
)
def test_damaged_tensors_are_refused(weights: Path, tmp_path: Path, name: str, value: float | None, words: str) -> None:
    def spoil(tensors: dict[str, Tensor]) -> None:
        if value is None:
            del tensors[name]
        else:
            tensors[name] = torch.full_like(tensors[name], value)

    with pytest.raises(WeightsError, match=words):
        load_model(changed(weights, tmp_path / "a.safetensors", spoil))


@pytest.mark.parametrize("voice", [VOICE, VoiceConfig(), VoiceConfig(control_width=700, refinement_blocks=9)])
def test_sizes_are_known_without_making_the_model(voice: VoiceConfig) -> None:
    config = ModelConfig(voice=voice)
    counted = sum(value.numel() for value in NacModel(config).voice.state_dict().values())
    estimated = estimated_parameters(config) - estimated_parameters(ModelConfig())
    assert counted * 0.95 < estimated < counted * 1.05


def test_configs_are_read_as_they_were_written() -> None:
    config = ModelConfig(voice=VOICE)
    assert ModelConfig.from_json(config.to_json()) == config
    assert ModelConfig.from_json(ModelConfig().to_json()).voice is None
    old = {key: value for key, value in json.loads(ModelConfig().to_json()).items() if key != "voice"}
    assert ModelConfig.from_json(json.dumps(old)) == ModelConfig()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fft_size": 1 << 20}, "voice: fft_size"),
        ({"fft_size": 1023}, "fft_size is 1023; it must be even"),
        ({"low_bands": [[18, 400], [16, 400]]}, "low_bands have 800"),
        ({"low_bands": [[200, 40]]}, "steady_order"),
        ({"low_bands": [[200, 40]], "steady_order": [[13, 200]], "unsteady_order": [[13, 200]]}, "sizes do not fit"),
        ({"core_codebooks": 14}, "core_codebooks"),
        ({"new": 1}, "voice: there is no setting 'new'"),
    ],
)
def test_configs_of_no_model_are_refused(change: dict[str, object], words: str) -> None:
    values = json.loads(ModelConfig(voice=VoiceConfig()).to_json())
    values["voice"].update(change)
    with pytest.raises(WeightsError, match=words):
        NacModel(ModelConfig.from_json(json.dumps(values)))
    with pytest.raises(WeightsError, match="sizes do not fit"):
        NacModel(dataclasses.replace(ModelConfig(), codebooks=20, voice=VoiceConfig()))


def test_what_is_stored_in_which_numbers(weights: Path) -> None:
    """Integers for the matrices of what decodes, float32 for what decides the codes, float16 for everything else."""
    for name, value in load_file(weights).items():
        network = name.startswith(("decoder.", "voice.control.", "voice.refinement."))
        network = network and not name.startswith(("decoder.ups.", "decoder.last."))
        coding = name.startswith(("voice.quantizer.", "voice.spectrum.")) and not name.endswith(".codebooks")
        if name.endswith(".codes"):
            assert value.dtype == torch.int8 and (network or name == "quantizer.codes"), name
        elif name.endswith(".steps") or name.startswith("spectrum.") or coding:
            assert value.dtype == torch.float32, name
        else:
            assert value.dtype == torch.float16 and (value.ndim < 2 or not network), name


def test_codebooks_are_stored_as_integers_only_if_that_changes_them_little(tmp_path: Path) -> None:
    """Those with a few large values are not; those of values that are all alike, or were integers before, are."""
    model = voice_model()
    assert model.voice is not None
    with torch.no_grad():
        books = model.voice.quantizer.residual.codebooks
        books.copy_(books.sign() * (1 + 0.1 * torch.rand_like(books)))
    save_model(model, tmp_path / "a.safetensors", generation=1)
    names = load_file(tmp_path / "a.safetensors").keys()
    assert "voice.quantizer.residual.codes" in names and "voice.low_band.bands.0.codebooks" in names
    loaded = load_model(tmp_path / "a.safetensors")[0].voice
    assert loaded is not None
    error = (loaded.quantizer.residual.codebooks - books).square().mean() / books.square().mean()
    assert 0 < float(error) < 10**-4.5


def test_codebooks_that_are_integers_in_an_older_file_stay_so(tmp_path: Path) -> None:
    """Their fingerprint, and with it the files that they coded, stays valid."""

    def integers(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if name.endswith(".codebooks")]:
            codes, steps = quantize(tensors.pop(name))
            stem = name.removesuffix(".codebooks")
            tensors |= {f"{stem}.codes": codes, f"{stem}.steps": steps}

    save_model(voice_model(), tmp_path / "a.safetensors", generation=1)
    tensors = load_file(tmp_path / "a.safetensors")
    integers(tensors)
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        metadata = {**file.metadata(), "format": "nac-weights-1", "fingerprint": f"{fingerprint(tensors):08x}"}
    save_file(tensors, tmp_path / "old.safetensors", metadata)
    assert save_model(load_model(tmp_path / "old.safetensors")[0], tmp_path / "new.safetensors", generation=1) == int(
        metadata["fingerprint"], 16
    )


def test_saved_again_it_is_the_same_file(weights: Path, tmp_path: Path) -> None:
    save_model(load_model(weights)[0], tmp_path / "again.safetensors", generation=1)
    assert (tmp_path / "again.safetensors").read_bytes() == weights.read_bytes()
