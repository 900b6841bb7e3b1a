"""The loop learns, resumes and saves; the quantizer stays healthy; the losses measure what they say."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from nac.errors import AudioError, NacError, OptionError, WeightsError
from nac.models.model import NacModel
from nac.models.weights import load_model, save_model
from nac.synthetic import speech_like
from nac.training.codebooks.initialise import FitConfig, initialise
from nac.training.codebooks.refine import refine
from nac.training.codebooks.trainer import CodebookTrainer, perplexity
from nac.training.config import TrainingConfig
from nac.training.data.corpus import Corpus, Crops, load_corpus
from nac.training.losses.reconstruction import MelLoss, si_sdr
from nac.training.trainer import CHECKPOINT, Budget, DivergedError, Trainer, read_checkpoint
from tests.conftest import SMALL, small_model

CONFIG = TrainingConfig(batch=2, seconds=0.4, warmup=5, n_codebooks=((2, 0.5), (4, 0.5)), learning_rate=1e-3)


def corpus() -> Corpus:
    clips = [(speech_like(30_000, seed=i) * 20_000).astype(np.int16) for i in range(4)]
    return Corpus(24_000, {"speech": {"a": clips[:2], "b": clips[2:]}, "music": {"c": [clips[0][::-1].copy()]}})


def crops(seed: int = 0) -> Crops:
    return Crops(corpus(), 9600, CONFIG.balance, 0.5, seed)


def trainer(folder: Path, model: NacModel | None = None, **changes: object) -> Trainer:
    config = dataclasses.replace(CONFIG, **changes)  # type: ignore[arg-type]
    return Trainer(model or small_model(codebooks=12), config, crops(), folder)


@pytest.mark.slow
def test_training_lowers_the_loss(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    samples = torch.from_numpy(crops(7).batch(8))

    def loss() -> float:
        run.rng = np.random.default_rng(0)
        with torch.no_grad():
            return float(run.losses(samples).loss)

    before = loss()
    for _ in range(40):
        run.train_step(0.0)
    assert loss() < before - 0.02


def test_every_number_of_codebooks_is_trained_now_and_then(tmp_path: Path) -> None:
    drawn: set[int] = set()
    run = trainer(tmp_path, any_n_codebooks=0.5, batch=32)
    run.parallel = lambda samples, rate, first: drawn.update(rate.tolist())  # type: ignore[assignment]
    for _ in range(200):
        run.losses(torch.zeros(32, 9600))
    assert drawn == set(range(1, 13))
    drawn.clear()
    trainer_of_two = trainer(tmp_path, any_n_codebooks=0.0)
    trainer_of_two.parallel = run.parallel
    for _ in range(20):
        trainer_of_two.losses(torch.zeros(32, 9600))
    assert drawn == {2, 4}


def test_a_stage_begins_with_all_numbers_of_codebooks_between_those_that_were_trained(tmp_path: Path) -> None:
    first = trainer(tmp_path)
    with torch.no_grad():
        for number in (2, 4, 12):
            first.average["decoder.n_codebooks_embedding"][number] = float(number)
    first.save()
    second = trainer(tmp_path)
    second.restore(tmp_path / CHECKPOINT, weights_only=True)
    expected = torch.tensor([2, 2, 2, 3, *range(4, 13)]).float()
    assert torch.allclose(second.model.decoder.n_codebooks_embedding[:, 0], expected)
    assert torch.equal(second.average["decoder.n_codebooks_embedding"], second.model.decoder.n_codebooks_embedding)


@pytest.mark.slow
def test_fine_tuning_lowers_the_loss_on_a_tiny_set(tmp_path: Path) -> None:
    """The README's command, on two clips: it starts from a weights file and fits it to them."""
    import subprocess
    import sys

    start = tmp_path / "start.safetensors"
    save_model(small_model(codebooks=12), start, generation=0)
    for number in range(2):
        (tmp_path / "mine").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "mine" / f"{number}.wav", speech_like(36_000, seed=number), 24_000)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "nac",
            "train",
            str(tmp_path / "mine"),
            "--init",
            str(start),
            "--out",
            str(tmp_path / "run"),
            "--steps",
            "40",
            "--page-minutes",
            "0",
            "--set=batch=2",
            "--set=learning_rate=0.002",
            "--set=warmup=5",
            "--set=ema=0.9",
            "--set=n_codebooks=[[12, 1.0]]",
            "--set=speed=0",
            "--set=reverb=0",
            "--set=equaliser=0",
        ],
        check=True,
        capture_output=True,
        timeout=240,
    )
    clips = torch.from_numpy(crops(7).batch(8))
    losses = []
    for weights in (start, tmp_path / "run" / "model.safetensors"):
        run = trainer(tmp_path / "run", load_model(weights)[0], n_codebooks=((12, 1.0),))
        with torch.no_grad():
            losses.append(float(run.losses(clips).loss))
    assert losses[1] < losses[0] - 0.05


def test_resuming_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    straight = trainer(tmp_path)
    for _ in range(3):
        straight.train_step(0.0)
    straight.folder = tmp_path / "a"
    straight.save()
    rest = [straight.train_step(0.0)[0]["loss"] for _ in range(4)]
    resumed = trainer(tmp_path / "a", NacModel(straight.model.config))
    resumed.restore(tmp_path / "a" / CHECKPOINT)
    assert [resumed.train_step(0.0)[0]["loss"] for _ in range(4)] == rest
    for name, value in straight.average.items():
        assert torch.equal(value, resumed.average[name]), name


def test_a_run_writes_log_checkpoint_and_weights(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.run(Budget(steps=3), progress=False)
    run.export(tmp_path / "model.safetensors", generation=1)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert rows[0]["step"] == "1" and float(rows[0]["perplexity0"]) > 1 and float(rows[0]["mel"]) > 0
    assert read_checkpoint(tmp_path / CHECKPOINT)["step"] == 3
    assert load_model(tmp_path / "model.safetensors")[1]["generation"] == "1"


def test_the_decoder_alone_leaves_the_codes_as_they_are(tmp_path: Path) -> None:
    run = trainer(tmp_path, decoder_only=True)
    books = run.model.quantizer.codebooks.clone()
    encoder = [p.clone() for p in run.model.encoder.parameters()]
    decoder = [p.clone() for p in run.model.decoder.parameters()]
    for _ in range(12):
        run.train_step(0.0)
    run.save()
    assert torch.equal(books, run.model.quantizer.codebooks)
    assert all(torch.equal(a, b) for a, b in zip(encoder, run.model.encoder.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(decoder, run.model.decoder.parameters(), strict=True))


def test_divergence_stops_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.run(Budget(steps=1), progress=False)
    with torch.no_grad():
        run.model.decoder.shift.bias.fill_(float("nan"))
    with pytest.raises(DivergedError, match="diverged"):
        run.run(Budget(steps=5), progress=False)
    assert read_checkpoint(tmp_path / CHECKPOINT)["step"] == 1
    fresh = trainer(tmp_path)
    fresh.restore(tmp_path / CHECKPOINT)
    assert all(bool(torch.isfinite(p).all()) for p in fresh.model.parameters())


def test_a_stop_signal_ends_the_run_after_its_step(tmp_path: Path) -> None:
    import os
    import signal

    budget = Budget()
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        budget.listen()
        os.kill(os.getpid(), signal.SIGTERM)
        run = trainer(tmp_path)
        run.run(budget, progress=False)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    assert read_checkpoint(tmp_path / CHECKPOINT)["step"] == 0


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    import resource

    run = trainer(tmp_path)
    run.save()
    run.train_step(0.0)
    before = (tmp_path / CHECKPOINT).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # files end here, as on a full disk
    try:
        with pytest.raises(NacError, match="disk full"):
            run.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


@pytest.mark.slow
def test_the_page_shows_curves_and_clips(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.run(Budget(steps=2), progress=False, page_minutes=60)
    page = (tmp_path / "page" / "index.html").read_text()
    for name in ("curves.png", "0.png", "3-original.wav", "3-6kbps.wav"):
        assert name in page and (tmp_path / "page" / name).stat().st_size > 1000
    decoded, rate = soundfile.read(tmp_path / "page" / "0-3kbps.wav")
    assert rate == 24_000 and len(decoded) == 4 * rate


def test_a_page_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "page").write_text("in the way")
    run = trainer(tmp_path)
    run.run(Budget(steps=1), progress=False, page_minutes=60)
    assert "no page" in caplog.text and run.step == 1


@pytest.mark.slow
def test_a_fault_in_a_picture_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise ValueError("no such panel")

    monkeypatch.setattr("nac.training.pages.plot_run", fault)
    run = trainer(tmp_path)
    run.run(Budget(steps=1), progress=False, page_minutes=60)
    assert "no such panel" in caplog.text and run.step == 1


def test_checkpoints_of_other_shapes_are_refused(tmp_path: Path) -> None:
    trainer(tmp_path).save()
    with pytest.raises(WeightsError, match="another model"):
        trainer(tmp_path, small_model(codebooks=14)).restore(tmp_path / CHECKPOINT)
    (tmp_path / "x.pt").write_bytes(b"junk")
    for path in (tmp_path / "x.pt", tmp_path / "none.pt"):
        with pytest.raises(WeightsError):
            read_checkpoint(path)


def test_config_round_trip() -> None:
    assert TrainingConfig.from_json(CONFIG.to_json()) == CONFIG
    with pytest.raises(OptionError):
        TrainingConfig.from_json('{"no such": 1}')


# -- data --------------------------------------------------------------------------------------------------------


def test_folders_become_kinds_and_sources(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, rate, channels in (("speech/x/a.wav", 48_000, 2), ("music/b.flac", 24_000, 1), ("c.wav", 8_000, 1)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.full((rate, channels), 0.25), rate)
    (tmp_path / "broken.wav").write_bytes(b"RIFF nonsense")
    found = load_corpus(tmp_path, 24_000)
    assert {kind: sorted(sources) for kind, sources in found.clips.items()} == {
        "audio": ["c"],
        "music": ["b"],
        "speech": ["x"],
    }
    assert abs(found.seconds - 3) < 0.01
    assert [Path(name).name for name in found.skipped] == ["broken.wav"] and "broken.wav" in caplog.text
    assert abs(int(np.median(found.clips["speech"]["x"][0])) - 8192) < 5


def test_a_folder_without_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no audio"):
        load_corpus(tmp_path, 24_000)
    with pytest.raises(AudioError):
        load_corpus(tmp_path / "absent", 24_000)


def test_crops_follow_the_seed_and_the_balance() -> None:
    a, b, c = crops(1), crops(1), crops(2)
    first = a.batch(4)
    assert np.array_equal(first, b.batch(4)) and not np.array_equal(first, c.batch(4))
    assert first.dtype == np.float32 and np.abs(first).max() <= 1.0
    weights = dict(zip(a.kinds, a.kind_weights, strict=True))
    assert weights["speech"] / weights["music"] == pytest.approx(0.5 / 0.3)


def test_short_clips_are_padded_and_silence_is_skipped() -> None:
    loud, silent = np.full(500, 9000, np.int16), np.zeros(1_500, np.int16)
    source = Crops(Corpus(24_000, {"audio": {"a": [loud, silent]}}), 1000, (), 0.0, 0)
    crop = source.one()
    assert crop.shape == (1000,) and crop[:500].min() > 0.2 and not crop[500:].any()


# -- quantizer ---------------------------------------------------------------------------------------------------


def quantized(stages: int = 6, frames: int = 64, beam: int = 1) -> tuple[NacModel, CodebookTrainer, torch.Tensor]:
    model = small_model(codebooks=12)
    latent = torch.randn(2, frames // 2, model.config.latent_dim) * 0.1
    latent[..., model.config.codebook_dim(stages - 1) :] = 0
    return model, CodebookTrainer(model.quantizer, 0.9, 1.0, beam=beam), latent


def test_quantizing_in_training_is_the_greedy_search() -> None:
    model, books, latent = quantized()
    out, loss, usage = books.quantize(model.quantizer, latent, torch.tensor([3, 6]), learn=False)
    codes = model.quantizer.encode(latent.flatten(0, 1), 6).T.reshape(6, 2, -1).transpose(0, 1)
    torch.testing.assert_close(out[0], model.quantizer.decode(codes[:1, :3])[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(out[1], model.quantizer.decode(codes[1:])[0], atol=1e-5, rtol=0)
    assert float(loss) == pytest.approx(float((latent - out).square().sum(-1).mean()), rel=1e-4)
    assert usage[0].sum() == 64 and usage[5].sum() == 32 and usage[6].sum() == 0


@pytest.mark.parametrize("beam", [2, 4])
def test_frozen_codebooks_are_searched_as_in_use(beam: int) -> None:
    model = small_model(codebooks=12)
    books = CodebookTrainer(model.quantizer, 1.0, 1.0, beam=beam)
    latent = (torch.randn(2, 30, model.config.latent_dim) * 0.1).requires_grad_()
    out, _, usage = books.quantize(model.quantizer, latent, torch.tensor([3, 12]), learn=False)
    for example, count in enumerate((3, 12)):
        codes = model.quantizer.encode(latent[example].detach(), count, beam)
        torch.testing.assert_close(out[example], model.quantizer.decode(codes.T[None])[0], atol=1e-6, rtol=0)
    assert usage[0].sum() == 60 and usage[3].sum() == 30
    (gradient,) = torch.autograd.grad(out.sum(), latent)
    torch.testing.assert_close(gradient, torch.ones_like(gradient))


def test_the_gradient_passes_straight_through() -> None:
    model, books, latent = quantized()
    latent.requires_grad_()
    out, loss, _ = books.quantize(model.quantizer, latent, torch.tensor([6, 6]), learn=False)
    weights = torch.randn_like(out)
    (gradient,) = torch.autograd.grad((out * weights).sum(), latent, retain_graph=True)
    torch.testing.assert_close(gradient, weights)
    (gradient,) = torch.autograd.grad(loss, latent)
    # The commitment of every stage reaches the encoder: it points from the whole sum of codes, not from the first.
    torch.testing.assert_close(gradient, 2 * (latent - out).detach() / 64, atol=1e-6, rtol=1e-3)


def test_dimensions_that_no_codebook_codes_are_not_pulled_to_zero() -> None:
    model, books, latent = quantized()
    latent = torch.randn_like(latent, requires_grad=True)
    _, loss, _ = books.quantize(model.quantizer, latent, torch.tensor([6, 12]), learn=False)
    (gradient,) = torch.autograd.grad(loss, latent)
    size = model.config.codebook_dim(5)
    assert not gradient[..., size:].any() and gradient[..., :size].all()


def test_running_means_lower_the_error() -> None:
    model, books, latent = quantized()
    rate = torch.tensor([12, 12])
    before = float(books.quantize(model.quantizer, latent, rate, learn=False)[1])
    for _ in range(60):
        books.quantize(model.quantizer, latent, rate, learn=True)
    assert float(books.quantize(model.quantizer, latent, rate, learn=False)[1]) < 0.85 * before


def test_good_codebooks_are_not_forgotten() -> None:
    model, _, latent = quantized()
    before = model.quantizer.codebooks.clone()
    books = CodebookTrainer(model.quantizer, 0.9998, 4000.0)
    for _ in range(10):
        books.quantize(model.quantizer, latent, torch.tensor([12, 12]), learn=True)
    change = (model.quantizer.codebooks - before).square().mean() / before.square().mean()
    assert 0 < float(change) < 1e-3


def test_revived_codes_stay_alive() -> None:
    """A code given a new place must keep it when the running means are written the next time."""
    model, books, latent = quantized(frames=256)
    books.counts[0, :8] = 1e-9
    assert books.revive(model.quantizer, latent.flatten(0, 1)) >= 8
    placed = model.quantizer.codebooks[0, :8].clone()
    books.pending = 12
    books.write(model.quantizer)
    torch.testing.assert_close(model.quantizer.codebooks[0, :8], placed)
    used = books.quantize(model.quantizer, latent, torch.tensor([12, 12]), learn=False)[2]
    assert (used[0, :8] > 0).all()


def test_revival_goes_by_the_mean_not_by_a_number_of_hits() -> None:
    model, books, latent = quantized()
    books.counts.fill_(1e-3)  # tiny batches: few hits everywhere, but none fewer than the others
    books.sums.copy_(model.quantizer.codebooks * 1e-3)
    assert books.revive(model.quantizer, latent.flatten(0, 1)) == 0


@pytest.mark.slow
def test_the_start_uses_every_codebook() -> None:
    model = NacModel(dataclasses.replace(SMALL, codebooks=14, codebook_size=32))
    usage = initialise(model, corpus(), FitConfig(frames=3000, late_frames=1500))
    assert float(perplexity(usage)[0]) > 12 and float(perplexity(usage).min()) > 4
    latent = model.analyse(torch.from_numpy(crops(5).batch(4))).detach()
    errors = [
        float((model.quantizer.decode(model.quantizer.encode(latent[0], n).T[None])[0] - latent[0]).square().sum())
        for n in (1, 4, 12, 14)
    ]
    assert errors == sorted(errors, reverse=True) and errors[3] < 0.6 * errors[0]


@pytest.mark.slow
def test_refining_lowers_the_error_of_the_search() -> None:
    model = NacModel(dataclasses.replace(SMALL, codebooks=12, codebook_size=32))
    initialise(model, corpus(), FitConfig(frames=2000, late_frames=1000))
    with torch.inference_mode():
        latent = model.analyse(torch.from_numpy(crops(5).batch(40))).flatten(0, 1)
        latent[:, model.config.codebook_dim(0) :] = 0

    def error() -> float:
        codes = model.quantizer.encode(latent, 12, beam=4)
        return float((model.quantizer.decode(codes.T[None])[0] - latent).square().sum())

    before = error()
    refine(model.quantizer, latent, rounds=2)
    assert error() < 0.97 * before


def test_perplexity_counts_codes() -> None:
    torch.testing.assert_close(perplexity(torch.tensor([[1.0, 1, 1, 1], [4, 0, 0, 0]])), torch.tensor([4.0, 1.0]))


# -- losses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [MelLoss(24_000)])
def test_losses_grow_with_noise(loss: torch.nn.Module) -> None:
    clean = torch.from_numpy(speech_like(24_000))[None]
    noise = torch.randn(1, 24_000)
    values = [float(loss(clean, clean + scale * noise).mean()) for scale in (0.0, 0.003, 0.03)]
    assert values[0] < 0.01 and values[0] < values[1] < values[2]
    estimate = (clean + 0.01 * noise).requires_grad_()
    loss(clean, estimate).mean().backward()
    assert estimate.grad is not None and bool(torch.isfinite(estimate.grad).all())


def test_losses_bear_silence() -> None:
    silence = torch.zeros(1, 24_000)
    for loss in (MelLoss(24_000), lambda a, b: -si_sdr(a, b)):
        estimate = torch.zeros(1, 24_000, requires_grad=True)
        loss(silence, estimate).mean().backward()
        assert estimate.grad is not None and bool(torch.isfinite(estimate.grad).all())


def test_si_sdr_by_hand() -> None:
    reference = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    estimate = torch.tensor([[2.0, 1.0, 0.0, 0.0]])
    assert float(si_sdr(reference, estimate)) == pytest.approx(10 * np.log10(4.001 / 1.001), abs=1e-3)
