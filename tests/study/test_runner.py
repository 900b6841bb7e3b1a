import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nac.errors import AudioError, OptionError
from nac.study import bench, runner
from nac.study.config import make_study, read_study
from nac.study.corpus import batches, read_corpus
from nac.study.document import fill, place
from nac.study.results import compare_results, read_results
from nac.study.runner import InterruptedStudy, run_study
from nac.study.sounds import write_sounds
from nac.synthetic import tone
from tests.study.small import SMALL, sound

pytest.importorskip("matplotlib")
DEFAULTS = {**SMALL, "loss": {"l1": 1}}
BASE = {
    "name": "base",
    "steps": 2,
    "minutes": 60.0,
    "clips": 1,
    "clip_seconds": 0.5,
    "examples": 1,
    "codecs": [],
    "defaults": DEFAULTS,
}


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audio")
    for name in ("train/music/a", "train/speech/b", "clips/music/c", "clips/d"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{name}.wav", sound(8000, len(name), 8000), 8000)
    return folder


def run(audio: Path, out: Path, **changes: object) -> object:
    return run_study(make_study({**BASE, **changes}), audio / "train", audio / "clips", out)


@pytest.mark.slow
def test_a_study_writes_everything_and_is_not_done_twice(
    audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = [{"name": "a"}, {"name": "b", "representation": "waveform"}]
    results = run(audio, tmp_path, system=systems, griffin_lim=True)
    names = ["a", "a (Griffin–Lim)", "b"]
    assert [row.codec for row in results.rows if row.clip == "music/c"] == [n for n in names for _ in range(2)]
    assert not [row.error for row in results.rows if row.error]
    for name in ("table.md", "table.csv", "clips.csv", "summary.csv", "rate_distortion.png", "loss_curves.png"):
        assert (tmp_path / name).stat().st_size > 100, name
    assert len(list(tmp_path.glob("samples/*/*.wav"))) == 1 + len(results.rows) / 2
    assert len(list(tmp_path.glob("pictures/*/*.png"))) == len(names)
    table = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert {"kbps", "SNR (dB)", "SDR (dB)", "SI-SDR (dB)", "LSD (dB)", "MSE (FS²)", "L1 (FS)"} <= table[0].keys()
    assert [row["steps"] for row in table] == ["2"] * 6

    monkeypatch.setattr(runner, "fit", lambda *_, **__: pytest.fail("trained again"))
    assert run(audio, tmp_path, system=systems, griffin_lim=True).rows == results.rows
    with pytest.raises(OptionError, match="other settings"):
        run(audio, tmp_path, system=[{"name": "a", "latent": 16}])
    monkeypatch.undo()
    more = run(audio, tmp_path, system=[*systems, {"name": "c", "architecture": "none"}])
    assert {row.codec for row in more.rows} == {"a", "b", "c"}


@pytest.mark.slow
def test_what_was_trained_in_another_study_is_taken_from_there(
    audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(audio, tmp_path / "one", system=[{"name": "a", "bits": [4]}])
    study = make_study({**BASE, "system": [{"name": "b", "bits": [4, 8]}]})
    before = (tmp_path / "one/systems/a/metrics.csv").read_text()
    with monkeypatch.context() as patched:
        patched.setattr(runner, "fit", lambda *_, **__: pytest.fail("trained again"))
        results = run_study(study, audio / "train", audio / "clips", tmp_path / "two", known=[tmp_path / "one"])
    assert {row.codec for row in results.rows} == {"b"}
    assert (tmp_path / "two/systems/b/metrics.csv").read_text() == before
    one, two = (
        bench.load_coder(tmp_path / place / "model.safetensors").system.state_dict()
        for place in ("one/systems/a", "two/systems/b")
    )
    assert one.keys() == two.keys() and all(one[name].equal(two[name]) for name in one)

    trained = []
    monkeypatch.setattr(runner, "fit", lambda *_, **__: trained.append(1) or True)
    other = make_study({**BASE, "system": [{"name": "c", "latent": 16}]})
    run_study(other, audio / "train", audio / "clips", tmp_path / "three", known=[tmp_path / "one"])
    assert trained


def test_true_kbps_are_those_of_the_files(audio: Path, tmp_path: Path) -> None:
    results = run(audio, tmp_path, system=[{"name": "a", "architecture": "none"}])
    files = sorted(len(data) for path in (tmp_path / "cache").rglob("*.coded") if (data := path.read_bytes()))
    assert sorted(row.bytes for row in results.rows) == files
    for row in results.rows:
        assert row.kbps == pytest.approx(row.bytes * 8 / 1000 / 0.5)


def test_a_stopped_study_says_how_to_go_on(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "fit", lambda *_, **__: False)
    with pytest.raises(InterruptedStudy, match="goes on"):
        run(audio, tmp_path)
    monkeypatch.undo()
    assert run(audio, tmp_path).rows


def test_the_quick_study_is_nearly_lossless_where_it_says_so(tmp_path: Path) -> None:
    import dataclasses

    train, clips = write_sounds(tmp_path / "sounds")
    quick = read_study(Path(__file__).parents[2] / "scripts" / "studies" / "quick.toml")
    chosen = tuple(s for s in quick.systems if s.name in ("near-lossless", "degraded"))
    study = dataclasses.replace(quick, systems=chosen, codecs=(), examples=0)
    results = run_study(study, train, clips, tmp_path / "out")
    snr = {row.codec: row.scores["snr"] for row in results.rows if row.kind == "tone"}
    assert snr["near-lossless"] > 30 > snr["degraded"]
    assert len(tone(1.0, 440)) == 16_000


@pytest.mark.slow
def test_results_are_compared_on_common_clips(audio: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run(audio, one, system=[{"name": "a"}])
    run(audio, two, system=[{"name": "a", "latent": 16}, {"name": "b", "architecture": "none"}], clips=1)
    values = json.loads((two / "results.json").read_text())
    values["rows"] = [row for row in values["rows"] if row["clip"] == "music/c"]
    (two / "results.json").write_text(json.dumps(values))
    both = compare_results([one, two], tmp_path / "both")
    assert {row.codec for row in both.rows} == {"one: a", "two: a", "b"}
    assert {row.clip for row in both.rows} == {"music/c"}
    assert read_results(tmp_path / "both").rows == both.rows
    values["rows"] = []
    (two / "results.json").write_text(json.dumps(values))
    with pytest.raises(OptionError, match="no clip in common"):
        compare_results([one, two], tmp_path / "both")
    (two / "results.json").write_text("{}")
    for folder in (two, tmp_path / "none"):
        with pytest.raises(OptionError):
            compare_results([one, folder], tmp_path / "both")


def test_results_stand_in_their_place_on_a_page(audio: Path, tmp_path: Path) -> None:
    run(audio, tmp_path / "one", system=[{"name": "a|b"}], name="first")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "classify.md").write_text("| features |\n| --- |\n| log-mel |\n\n![x](confusion.png)\n")
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    empty = "".join(f"# {name}\n<!-- results: {name} -->\n<!-- end -->\n" for name in ("one", "two", "three"))
    page.write_text(empty)
    fill(page, [tmp_path / "one", tmp_path / "two"], tmp_path / "pictures")
    text = page.read_text()
    first, second, third = text.split("# ")[1:]
    assert "Means over all clips (music 1, other 1)." in first and first.count("\n| a\\|b |") == 2
    assert "![Scores over true bit rate: first](../pictures/one.png)" in first
    assert (tmp_path / "pictures" / "one.png").stat().st_size > 1000
    assert "| log-mel |" in second and "png" not in second and third == empty.split("# ")[3]
    fill(page, [tmp_path / "two", tmp_path / "one"], tmp_path / "pictures")
    assert page.read_text() == text
    (tmp_path / "two" / "confusion.png").write_bytes(b"picture")
    fill(page, [tmp_path / "two"], tmp_path / "pictures")
    assert "![Confusion matrices](../pictures/two.png)" in page.read_text().split("# ")[2]
    assert (tmp_path / "pictures" / "two.png").read_bytes() == b"picture"
    text = page.read_text()
    for folder in ("none", "docs"):
        with pytest.raises(OptionError):
            fill(page, [tmp_path / folder])
    (tmp_path / "one").rename(tmp_path / "four")
    with pytest.raises(OptionError, match="no place for four"):
        fill(page, [tmp_path / "four"])
    assert page.read_text() == text


def test_the_page_of_the_bench_has_a_place_for_every_study() -> None:
    root = Path(__file__).parents[2]
    text = (root / "STUDY.md").read_text(encoding="utf-8")
    for path in (root / "scripts" / "studies").glob("*.toml"):
        if path.stem != "quick":
            assert "new" in place(text, path.stem, "new")


def test_judgements_are_of_the_code_that_codes() -> None:
    found, left = set[str](), ["coder"]
    while left:
        name = left.pop()
        found.add(name)
        text = (Path(bench.__file__).parent / f"{name}.py").read_text(encoding="utf-8")
        left += [other for other in re.findall(r"from nac\.study\.(\w+) import", text) if other not in found]
    assert found == set(bench.CODING)


def test_a_codec_in_two_results_counts_once(audio: Path, tmp_path: Path) -> None:
    run(audio, tmp_path, system=[{"name": "a", "architecture": "none"}])
    values = json.loads((tmp_path / "results.json").read_text())
    extra = [{**row, "codec": "nac", "nominal": 3.0} for row in values["rows"] if row["nominal"] == 4]
    values["rows"] += extra
    (tmp_path / "results.json").write_text(json.dumps(values))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.json").write_text(json.dumps({**values, "name": "other"}))
    both = compare_results([tmp_path, tmp_path / "other"], tmp_path / "both")
    assert sum(row.codec == "nac" for row in both.rows) == len(extra) == 2
    assert sum(row.codec == "other: a" for row in both.rows) == 4
    with pytest.raises(OptionError, match="twice"):
        compare_results([tmp_path, tmp_path], tmp_path / "both")


def test_batches_depend_on_step_and_seed_alone(audio: Path) -> None:
    corpus = read_corpus(audio / "train", 8000)
    first, second = batches(corpus, 500, 3, 7), batches(corpus, 500, 3, 7)
    second(0)
    assert np.array_equal(first(5), second(5)) and not np.array_equal(first(5), first(6))
    assert not np.array_equal(first(5), batches(corpus, 500, 3, 8)(5))


def test_the_corpus_is_cut_down(audio: Path) -> None:
    corpus = read_corpus(audio / "train", 8000, max_files=1, max_seconds=0.25)
    assert corpus.seconds == pytest.approx(0.25)


def test_missing_audio_is_said(audio: Path, tmp_path: Path) -> None:
    study = make_study(BASE)
    (tmp_path / "empty").mkdir()
    for train, clips in (
        (tmp_path / "empty", audio / "clips"),
        (audio / "train", tmp_path / "empty"),
        (audio / "train", tmp_path / "none"),
    ):
        with pytest.raises(AudioError):
            run_study(study, train, clips, tmp_path / "out")
