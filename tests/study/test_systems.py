"""Every kind of system, from samples to bytes and back."""

import dataclasses
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from nac.errors import AudioError, DamagedError, FormatError, NacError, OptionError, WeightsError
from nac.study.coder import CHECK, HEADER, Coder, load_coder
from nac.study.config import ARCHITECTURES, REPRESENTATIONS
from nac.study.quantize import pack
from tests.study.small import prepared, small, sound

KINDS = [(r, a) for r in REPRESENTATIONS for a in ARCHITECTURES if r != "waveform" or a in ("conv", "none")]


@pytest.mark.parametrize(("representation", "architecture"), KINDS)
def test_any_length_goes_to_bytes_and_back(representation: str, architecture: str) -> None:
    phase = "predicted" if representation == "complex" else "transmitted"
    loss = (("l1", 1.0), ("stft", 1.0), *((("phase", 1.0),) if representation == "complex" else ()))
    config = small(representation=representation, architecture=architecture, phase=phase, deflate=False, loss=loss)
    system = prepared(config)
    batch = torch.stack([torch.from_numpy(sound(system.crop, seed)) for seed in range(2)])
    assert system.features(batch).shape == (2, *system.shape)
    total, terms = system.train().loss(batch)
    assert torch.isfinite(total) and all(torch.isfinite(value) for value in terms.values())
    if system.trainable:
        total.backward()
        idle = [name for name, p in system.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
        assert not idle
    coder = Coder(system)
    for samples in (1, system.crop, 3 * system.crop + 17):
        x = sound(samples)
        sizes = []
        for setting in config.settings:
            data = coder.compress(x, config.sample_rate, setting)
            payload = sum(part.size for part in system.parts(samples, setting))
            assert len(data) == HEADER.size + payload + CHECK.size
            y, rate = coder.decompress(data)
            assert y.shape == (1, samples) and y.dtype == np.float32 and rate == 8000 and np.isfinite(y).all()
            sizes.append(len(data))
        assert sizes == sorted(set(sizes))  # a higher setting costs more


@pytest.mark.parametrize("representation", ["stft", "log-stft", "complex", "waveform"])
@pytest.mark.parametrize("quantizer", ["uniform", "max-norm"])
def test_without_a_network_bits_alone_decide_what_is_lost(representation: str, quantizer: str) -> None:
    phase = "predicted" if representation == "complex" else "transmitted"
    config = small(
        representation=representation, architecture="none", phase=phase, phase_bits=0, quantizer=quantizer, bits=(4, 16)
    )
    system = prepared(config)
    x = sound(5000)
    system.calibrate([torch.from_numpy(x[: system.crop])[None]])
    coder = Coder(system)
    errors = [np.mean((coder.decompress(coder.compress(x, 8000, bits))[0][0] - x) ** 2) for bits in (4, 16)]
    assert errors[0] > 1e-5 and (quantizer == "uniform" or errors[1] < 1e-7)
    assert errors[1] < 0.5 * errors[0]


def test_skip_connections_count_in_the_bit_rate() -> None:
    sizes = []
    for skips in (0, 1, 4):
        config = small(architecture="unet", skip_channels=skips, phase="griffin-lim", deflate=False)
        sizes.append(len(Coder(prepared(config)).compress(sound(4000), 8000)))
    plain = len(Coder(prepared(small(phase="griffin-lim", deflate=False))).compress(sound(4000), 8000))
    assert sizes[0] == plain and sizes[2] - plain == 4 * (sizes[1] - plain) > 0


def test_a_unet_uses_nothing_but_what_is_transmitted() -> None:
    system = prepared(small(architecture="unet")).eval()
    features = system.features(torch.from_numpy(sound(system.crop))[None])
    with torch.no_grad():
        tables = [table * 0 for table in system.network.encode(features)]
        assert torch.equal(system.network.decode(tables), system.network.decode([t.clone() for t in tables]))
        other = system.network.encode(0.5 * features)
        assert not torch.allclose(other[1], system.network.encode(features)[1])


def test_a_variational_autoencoder_samples_in_training_alone() -> None:
    system = prepared(small(architecture="vae"))
    features = system.features(torch.from_numpy(sound(system.crop))[None])
    with torch.no_grad():
        system.train()
        assert not torch.equal(system.network(features)[0], system.network(features)[0])
        system.eval()
        out, penalty = system.network(features)
        assert torch.equal(out, system.network(features)[0])
        mean, spread = system.network.moments(features)  # type: ignore[operator]
        assert (
            penalty == pytest.approx(float(1e-3 * 0.5 * (mean**2 + spread.exp() - spread - 1).mean()), rel=1e-4)
            and float(penalty) > 0
        )


def test_codebooks_follow_the_latent() -> None:
    system = prepared(small(architecture="vqvae"))
    batch = torch.stack([torch.from_numpy(sound(system.crop, seed)) for seed in range(8)])
    features = system.features(batch)
    with torch.no_grad():
        before = float(system.eval().network(features)[1])  # type: ignore[arg-type]
        system.train()
        for _ in range(60):
            system.network(features)
        assert float(system.eval().network(features)[1]) < 0.7 * before  # type: ignore[arg-type]
        more = [
            float(
                (
                    system.network.decode([system.network.encode(features)[0][:, :n]])
                    - system.network.decode([system.network.encode(features)[0]])
                )
                .square()
                .mean()
            )
            for n in (1, 2)
        ]
    assert more[1] < more[0]


def test_a_saved_system_makes_the_same_files(tmp_path: Path) -> None:
    coder = Coder(prepared(small(architecture="vqvae")))
    coder.save(tmp_path / "model.safetensors")
    again = load_coder(tmp_path)
    x = sound(3000)
    data = coder.compress(x, 8000)
    assert again.compress(x, 8000) == data
    assert np.array_equal(again.decompress(data)[0], coder.decompress(data)[0])
    other = load_coder(tmp_path, "griffin-lim")
    assert len(other.compress(x, 8000)) < len(data)


def test_other_rates_and_channels_are_converted() -> None:
    coder = Coder(prepared(small()))
    stereo = np.stack([sound(16_000, 0, 16_000), sound(16_000, 1, 16_000)])
    assert coder.decompress(coder.compress(stereo, 16_000))[0].shape == (1, 8000)
    assert coder.decompress(coder.compress(np.zeros((1, 0)), 8000))[0].shape == (1, 0)


@pytest.mark.parametrize("sample_rate", [16_000, 22_050])
@pytest.mark.parametrize("seconds", [1.0, 3.0])
def test_other_rates_and_lengths_of_chunks(sample_rate: int, seconds: float) -> None:
    for representation in ("log-mel", "waveform"):
        coder = Coder(
            prepared(
                small(
                    sample_rate=sample_rate,
                    seconds=seconds,
                    representation=representation,
                    n_fft=1024,
                    hop=256,
                    latent=512,
                    phase="griffin-lim",
                )
            )
        )
        assert abs(coder.system.crop / sample_rate - seconds) < 0.15 * seconds
        y, rate = coder.decompress(coder.compress(sound(2 * sample_rate, rate=sample_rate), sample_rate))
        assert y.shape == (1, 2 * sample_rate) and rate == sample_rate


def test_what_is_no_sound_or_setting_is_said() -> None:
    coder = Coder(prepared(small()))
    for audio in (np.zeros((2, 2, 2)), np.array([0.0, np.nan]), np.zeros((0, 4))):
        with pytest.raises(AudioError):
            coder.compress(audio, 8000)
    with pytest.raises(OptionError, match="there are 4, 8"):
        coder.compress(sound(100), 8000, 5)


def test_damage_and_other_systems_are_said() -> None:
    coder = Coder(prepared(small()))
    data = coder.compress(sound(1000), 8000)
    for bad in (b"", data[:20], b"X" + data[1:], data[:3] + b"\x09" + data[4:]):
        with pytest.raises(FormatError):
            coder.decompress(bad)
    for place in range(9, len(data), 97):
        with pytest.raises(DamagedError):
            coder.decompress(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(WeightsError, match="another system"):
        Coder(prepared(small(seed=1))).decompress(data)
    # A header that claims more than there is, with a checksum that fits.
    for setting, samples in ((8, 1 << 30), (8, 100_000), (7, 1000)):
        fields = [*HEADER.unpack_from(data)]
        fields[3], fields[5] = setting, samples
        forged = HEADER.pack(*fields) + data[HEADER.size : -4]
        with pytest.raises(DamagedError):
            coder.decompress(forged + struct.pack(">I", zlib.crc32(forged)))


def test_files_that_hold_no_system_are_said(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(WeightsError):
            load_coder(path)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    system = prepared(small())
    with torch.no_grad():
        next(system.parameters()).fill_(torch.nan)
    with pytest.raises(NacError, match="not finite"):
        Coder(system).save(tmp_path / "model.safetensors")


def test_uniform_parts_know_their_range() -> None:
    part = prepared(small()).parts(100, 8)[0]
    with pytest.raises(ValueError, match="bounds"):
        pack([dataclasses.replace(part, bounds=None)], [np.zeros((part.channels, part.count))])
