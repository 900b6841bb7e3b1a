"""What weights files hold, and that saving and loading loses no more than it must."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from nac.errors import WeightsError
from nac.models.model import NacModel
from nac.models.weights import load_model, save_model
from nac.synthetic import speech_like
from tests.conftest import small_model


def half_decoder_file(model: NacModel, path: Path) -> int:
    """A file of the first format: nothing but the codebooks is int8. Returns the fingerprint."""
    number = save_model(model, path, generation=3)
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = {**file.metadata(), "format": "nac-weights-1"}
    for name, value in model.state_dict().items():
        old = {"decoder.n_codebooks_embedding": "decoder.rate"}.get(name, name)
        if tensors.pop(f"{old}.codes", None) is not None:
            del tensors[f"{old}.steps"]
            tensors[old] = value.half()
    save_file(tensors, path, metadata)
    return number


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    """However often they are saved, and loaded in between."""
    model, notes = small_model(), {"hours": "1", "steps": "7", "a": "ä"}
    files = [tmp_path / f"{number}.safetensors" for number in range(4)]
    save_model(model, files[0], generation=1, notes=notes)
    save_model(model, files[1], generation=1, notes=dict(reversed(notes.items())))
    save_model(load_model(files[1])[0], files[2], generation=1, notes=notes)
    save_model(load_model(files[2])[0], files[3], generation=1, notes=notes)
    assert len({file.read_bytes() for file in files}) == 1
    assert load_model(files[3])[1]["a"] == "ä"


def test_matrices_of_the_decoder_take_a_byte_a_weight(small_weights: Path) -> None:
    model, _ = load_model(small_weights)
    tensors = load_file(small_weights)
    matrices = {name: value for name, value in model.decoder.state_dict().items() if value.ndim > 1}
    main_path = [matrices.pop(name) for name in list(matrices) if name.startswith(("ups.", "last."))]
    assert len(main_path) == 4
    assert len(matrices) > 10
    for name, value in matrices.items():
        stem = f"decoder.{'rate' if name == 'n_codebooks_embedding' else name}"
        assert tensors[f"{stem}.codes"].dtype == torch.int8 and tensors[f"{stem}.codes"].shape == value.shape
        assert tensors[f"{stem}.steps"].dtype == torch.float32 and tensors[f"{stem}.steps"].shape == value.shape[:1]
    others = {
        n: value.dtype for n, value in tensors.items() if n.startswith(("encoder.", "decoder.ups.", "decoder.last."))
    }
    assert others and set(others.values()) == {torch.float16}


def test_files_of_the_first_format_load_as_they_are(tmp_path: Path) -> None:
    model, path = small_model(), tmp_path / "old.safetensors"
    half_decoder_file(model, path)
    loaded, notes = load_model(path)
    assert notes["format"] == "nac-weights-1"
    for name, value in loaded.decoder.state_dict().items():
        assert torch.equal(value, model.decoder.state_dict()[name].half().float()), name


def test_saving_an_older_file_again_changes_no_code_and_hardly_the_sound(tmp_path: Path) -> None:
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    number = half_decoder_file(small_model(), old)
    before = load_model(old)[0]
    assert save_model(before, new, generation=3) == number
    after = load_model(new)[0]
    assert new.stat().st_size < old.stat().st_size
    samples = torch.from_numpy(speech_like(24_000))[None]
    with torch.inference_mode():
        codes, same = (model.quantizer.encode(model.analyse(samples)[0], 12) for model in (before, after))
        assert torch.equal(codes, same)
        latent, counts = before.quantizer.decode(codes.T[None]), torch.full((1, len(codes)), 12)
        a, b = (model.synthesise(latent, counts) for model in (before, after))
    assert not torch.equal(a, b)
    assert float((a - b).square().mean() / a.square().mean()) < 1e-4


def test_the_fingerprint_is_of_what_is_stored(tmp_path: Path) -> None:
    """Codebooks that are the same once they are integers are the same; those that differ in one integer are not."""
    model, path = small_model(), tmp_path / "a.safetensors"
    number = save_model(model, path, generation=0)
    books = load_model(path)[0].quantizer.codebooks.detach()
    assert not torch.equal(books, model.quantizer.codebooks)
    with torch.no_grad():
        model.quantizer.codebooks.copy_(books)
        model.decoder.inner.weight.mul_(1.1)
    assert save_model(model, path, generation=0) == number
    with torch.no_grad():
        model.quantizer.codebooks[3, 2, 1] += float(books[3].abs().max()) / 127
    assert save_model(model, path, generation=0) != number


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf"), 3e38])
def test_steps_that_no_weights_have_are_refused(small_weights: Path, tmp_path: Path, step: float) -> None:
    tensors = load_file(small_weights)
    with safe_open(small_weights, "pt") as file:
        metadata = file.metadata()
    for name in ("decoder.inner.weight.steps", "quantizer.steps"):
        value = tensors[name].clone()
        value[-1] = step
        save_file({**tensors, name: value}, tmp_path / "a.safetensors", metadata)
        with pytest.raises(WeightsError, match=r"a\.safetensors holds .* finite"):
            load_model(tmp_path / "a.safetensors")


@pytest.mark.parametrize("lost", ["decoder.inner.weight.codes", "decoder.inner.weight.steps", "decoder.rate.codes"])
def test_integers_without_steps_and_steps_without_integers_are_refused(
    small_weights: Path, tmp_path: Path, lost: str
) -> None:
    tensors = load_file(small_weights)
    with safe_open(small_weights, "pt") as file:
        metadata = file.metadata()
    del tensors[lost]
    save_file(tensors, tmp_path / "a.safetensors", metadata)
    with pytest.raises(WeightsError, match=f"lacks {lost}"):
        load_model(tmp_path / "a.safetensors")


def test_weights_that_a_file_cannot_hold_are_refused(tmp_path: Path) -> None:
    model, path = small_model(), tmp_path / "a.safetensors"
    path.write_bytes(b"kept")
    with torch.no_grad():
        model.encoder.inner.weight[0, 0] = 1e6
    with pytest.raises(WeightsError, match=r"encoder\.inner\.weight is too large"):
        save_model(model, path, generation=0)
    assert path.read_bytes() == b"kept"


def test_files_of_a_later_format_are_refused(small_weights: Path, tmp_path: Path) -> None:
    with safe_open(small_weights, "pt") as file:
        metadata = {**file.metadata(), "format": "nac-weights-3"}
    save_file(load_file(small_weights), tmp_path / "a.safetensors", metadata)
    with pytest.raises(WeightsError, match="of this version"):
        load_model(tmp_path / "a.safetensors")
