import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from nac.cli import main
from nac.errors import AudioError, OptionError
from nac.evaluation.clips import find_clips
from nac.evaluation.listening.page import Item, at_level_of, listening_page, low_pass, make_item, make_items
from nac.evaluation.listening.scores import read_answers
from nac.evaluation.metrics.loudness import loudness
from nac.synthetic import buzz_speech, noise
from tests.evaluation.browser import CHROMIUM, drive
from tests.evaluation.fakes import Rounding

RATE = 24000


def items(count: int = 2, seconds: float = 1.5) -> list[Item]:
    out = []
    for number in range(count):
        sound = buzz_speech(seconds, RATE, number)[None]
        decoded = [("coarse 2", np.round(sound * 20) / 20), ("quiet 4", sound * np.float32(0.5))]
        out.append(make_item(f"speech/{number}", "speech", sound, RATE, decoded, seconds))
    return out


def test_anchors_lack_what_they_should() -> None:
    sound = noise(RATE)[None]
    for cutoff in (3500, 7000):
        spectrum = np.abs(np.fft.rfft(low_pass(sound, cutoff, RATE)[0])) / np.abs(np.fft.rfft(sound[0]))
        bins = np.fft.rfftfreq(RATE, 1 / RATE)
        assert np.median(spectrum[bins < cutoff - 400]) == pytest.approx(1, abs=0.01)
        assert np.median(spectrum[bins > cutoff + 400]) < 1e-3
    # no delay: a click stays where it is
    click = np.zeros((1, 2000), np.float32)
    click[0, 777] = 1
    assert low_pass(click, 3500, RATE)[0].argmax() == 777


def test_versions_are_level_matched_and_cut() -> None:
    item = items(1)[0]
    assert [(v.name, v.role) for v in item.versions] == [
        ("reference", "reference"), ("anchor 3.5 kHz", "anchor"), ("anchor 7 kHz", "anchor"),
        ("coarse 2", "codec"), ("quiet 4", "codec"),
    ]  # fmt: skip
    levels = [loudness(version.audio, RATE) for version in item.versions]
    np.testing.assert_allclose(levels, levels[0], atol=0.2)
    assert {version.audio.shape for version in item.versions} == {item.reference.shape}
    np.testing.assert_array_equal(item.versions[0].audio, item.reference)


def test_level_matching_has_limits() -> None:
    sound = noise(RATE)[None]
    np.testing.assert_allclose(at_level_of(sound, sound * np.float32(0.01), RATE), sound * 0.01 * 10**0.6, rtol=1e-4)
    np.testing.assert_array_equal(at_level_of(sound, sound * 0, RATE), sound * 0)


def test_nothing_clips_and_levels_stay_equal() -> None:
    loud = (buzz_speech(1, RATE) / 0.3)[None]
    item = make_item("a", None, loud, RATE, [("spiky", np.sign(loud) * np.abs(loud) ** 3)], 1)
    assert max(np.abs(version.audio).max() for version in item.versions) == pytest.approx(0.99, abs=0.01)
    assert loudness(item.versions[-1].audio, RATE) == pytest.approx(loudness(item.reference, RATE), abs=0.2)


def test_low_rates_have_no_high_anchor() -> None:
    names = [version.name for version in make_item("a", None, noise(8000)[None], 8000, [], 1).versions]
    assert names == ["reference", "anchor 3.5 kHz"]


def test_items_from_clips_and_codecs(tmp_path: Path) -> None:
    (tmp_path / "clips" / "music").mkdir(parents=True)
    soundfile.write(tmp_path / "clips" / "music" / "a.wav", noise(2 * RATE), RATE)
    clips = find_clips(tmp_path / "clips")
    item = make_items(clips, [(Rounding(str(tmp_path)), (2, 4))], seconds=1)[0]
    assert [version.name for version in item.versions[-2:]] == ["rounding 2", "rounding 4"]
    assert item.reference.shape == (1, RATE) and item.kind == "music"
    with pytest.raises(OptionError, match="at most 9"):
        make_items(clips, [(Rounding(str(tmp_path)), tuple(range(1, 11)))])
    with pytest.raises(AudioError, match="failed"):
        make_items(clips, [(Rounding(str(tmp_path), fails_below=9), (2,))])


def test_page_is_one_file_and_hides_the_reference() -> None:
    page = listening_page(items(1), title="<A & B>", abx=["coarse 2"], abx_trials=3)
    assert "&lt;A &amp; B&gt;" in page and "{{" not in page
    assert not re.search(r"(src|href)\s*=|https?:", page)  # nothing is fetched
    data = json.loads(re.search(r'application/json">(.*?)</script>', page, re.S)[1])
    assert [version["sound"] is None for version in data["clips"][0]["versions"]] == [True, False, False, False, False]
    assert data["abx"] == [{"clip": 0, "condition": 3}] and data["abxTrials"] == 3


def test_other_sounds_are_another_page() -> None:
    def identity(page: str) -> str:
        return re.search(r'"id": "(\w+)"', page)[1]

    one = items(1)
    assert identity(listening_page(one)) == identity(listening_page(one, title="other"))
    assert identity(listening_page(one)) != identity(listening_page(one, abx=["coarse 2"]))
    assert identity(listening_page(one)) != identity(listening_page(items(1, seconds=1.4)))


def test_names_cannot_break_out_of_the_page() -> None:
    sound = noise(4000)[None]
    item = make_item("</script><b>", None, sound, RATE, [("<script>", sound)], 1)
    page = listening_page([item])
    assert "</script><b>" not in page and page.count("<script") == 2


def test_nothing_to_do_is_refused() -> None:
    with pytest.raises(OptionError, match="at least one clip"):
        listening_page([])
    with pytest.raises(OptionError, match="nothing to do"):
        listening_page(items(1), mushra=False)
    for name in ("reference", "none"):
        with pytest.raises(OptionError, match="no version"):
            listening_page(items(1), abx=[name])
    with pytest.raises(OptionError, match="trials"):
        listening_page(items(1), abx=["coarse 2"], abx_trials=0)


def test_the_verb_builds_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nac.evaluation.codecs import tools

    monkeypatch.setitem(tools.TOOLS, "rounding", Rounding(str(tmp_path)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "clips" / "music").mkdir(parents=True)
    soundfile.write(tmp_path / "clips" / "music" / "a.wav", noise(RATE), RATE)
    common = [
        "listen",
        "page",
        str(tmp_path / "clips"),
        "--codec",
        "rounding:2,4",
        "--out",
        str(tmp_path / "page.html"),
    ]
    result = CliRunner().invoke(main, [*common, "--abx", "rounding 4"])
    assert result.exit_code == 0, result.output
    assert "anchor 7 kHz, rounding 2, rounding 4" in result.output
    assert (tmp_path / "page.html").stat().st_size > 20_000
    wrong = CliRunner().invoke(main, [*common, "--clip", "music/b"])
    assert wrong.exit_code == 2 and "no clip music/b" in wrong.output


# ---- in a browser ------------------------------------------------------------------------------------------------

in_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian package chromium)")

BEGIN = """
const { player, csv } = window.listening;
const loaded = () => until(() => !document.getElementById('trial').hidden && !document.getElementById('play').disabled, 'sounds');
const buttons = () => [...document.querySelectorAll('.version button')];
const sliders = () => [...document.querySelectorAll('.version input[type=range]')];
const set = (slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); };
const click = (id) => document.getElementById(id).click();
document.getElementById('listener').value = 'Ada, "L."';
click('begin');
await loaded();
"""  # noqa: E501 - JavaScript


@in_browser
def test_switching_keeps_the_place() -> None:
    script = """
    buttons()[0].click();
    await wait(400);
    const steps = [];
    for (const index of [1, 2, 3, 4, 5, 0]) {
      const before = player.position(), clock = player.context.currentTime;
      buttons()[index].click();
      const after = player.position(), took = player.context.currentTime - clock;
      await wait(60);
      steps.push({ jump: after - before - took, gains: player.gains.map((gain) => gain.gain.value), index });
    }
    // the versions are the same length, so their sources stay together
    const lengths = player.buffers.map((buffer) => buffer.length);
    click('play');
    const paused = player.position();
    await wait(150);
    return { steps, lengths, still: player.position() - paused, playing: player.playing };
    """
    report = drive(listening_page(items(1)), BEGIN + script)
    for step in report["steps"]:
        # The audio clock may tick between two readings; a version that began anew would be off by the 0.4 s played.
        assert abs(step["jump"]) < 0.05
        assert [round(gain, 3) for gain in step["gains"]] == [float(i == step["index"]) for i in range(6)]
    assert len(set(report["lengths"])) == 1
    assert report["still"] == 0 and report["playing"] is False


@in_browser
def test_loop_and_region() -> None:
    script = """
    player.setRegion(0.5, 0.9);
    buttons()[0].click();
    const places = [];
    for (let i = 0; i < 30; i++) { await wait(50); places.push(player.position()); }
    document.getElementById('loop').click();
    await until(() => !player.playing, 'the end without a loop');
    click('whole');
    return { places, region: player.region, duration: player.duration };
    """
    report = drive(listening_page(items(1)), BEGIN + script)
    assert min(report["places"]) >= 0.5 and max(report["places"]) <= 0.9
    turns = sum(later < earlier for earlier, later in zip(report["places"], report["places"][1:], strict=False))
    assert turns >= 2
    assert report["region"] == [0, pytest.approx(1.5, abs=0.01)]


@in_browser
def test_rating_and_export(tmp_path: Path) -> None:
    script = """
    const seen = { disabled: [], orders: [] };
    for (let clip = 0; clip < 2; clip++) {
      seen.disabled.push(document.getElementById('next').disabled);
      for (const button of buttons()) button.click();
      seen.disabled.push(document.getElementById('next').disabled);
      const order = window.listening.state().plan[clip].order;
      seen.orders.push(order);
      // the answer to each condition is known from its number, whatever the order on the screen
      sliders().forEach((slider, position) => set(slider, 100 - 10 * order[position]));
      const boxes = [...document.querySelectorAll('.version')].slice(1).map((each) => each.querySelectorAll('input[type=checkbox]'));
      const coarse = boxes[order.indexOf(3)];
      coarse[0].click(); coarse[3].click();
      coarse[0].closest('.version').querySelector('textarea').value = '=buzz, "loud"';
      coarse[0].closest('.version').querySelector('textarea').dispatchEvent(new Event('input'));
      seen.disabled.push(document.getElementById('next').disabled);
      click('next');
      if (clip === 0) await loaded();
    }
    await until(() => !document.getElementById('end').hidden, 'the last screen');
    let file = null;
    const create = URL.createObjectURL;
    URL.createObjectURL = (blob) => { file = blob; return create.call(URL, blob); };
    click('export');
    return { ...seen, text: await file.text() };
    """  # noqa: E501
    report = drive(listening_page(items(2)), BEGIN + script)
    assert report["disabled"] == [True, True, False] * 2
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in report["orders"])
    rows = list(csv.DictReader(io.StringIO(report["text"])))
    assert len(rows) == 10 and {row["listener"] for row in rows} == {'Ada, "L."'}
    names = ["reference", "anchor 3.5 kHz", "anchor 7 kHz", "coarse 2", "quiet 4"]
    for row in rows:
        assert row["rating"] == str(100 - 10 * names.index(row["condition"]))
    coarse = next(row for row in rows if row["condition"] == "coarse 2")
    assert coarse["artifacts"] == "metallic ringing; muffled highs" and coarse["comment"] == '\'=buzz, "loud"'
    (tmp_path / "answers.csv").write_text(report["text"])
    ratings, _ = read_answers([tmp_path / "answers.csv"])
    assert sorted(rating.rating for rating in ratings) == sorted([100, 90, 80, 70, 60] * 2)


@in_browser
def test_telling_apart(tmp_path: Path) -> None:
    script = """
    const screens = window.listening.state().plan;
    const blocked = [];
    for (const [i, screen] of screens.entries()) {
      blocked.push(document.querySelector('[data-answer]').disabled);
      for (const side of 'ABX') document.querySelector(`[data-side=${side}]`).click();
      // X really is the sound it is said to be
      const same = (a, b) => player.buffers[a].getChannelData(0).every((v, n) => v === player.buffers[b].getChannelData(0)[n]);
      if (!same(2, screen.x === 'A' ? 0 : 1) || same(0, 1)) throw new Error('wrong sounds');
      document.querySelector('[data-answer=A]').click();
      click('next');
      if (i < screens.length - 1) await loaded();
    }
    await until(() => !document.getElementById('end').hidden, 'the last screen');
    return { text: csv(), blocked, result: document.getElementById('abx-result').textContent };
    """  # noqa: E501
    report = drive(listening_page(items(1), mushra=False, abx=["coarse 2"], abx_trials=4), BEGIN + script)
    assert report["blocked"] == [True] * 4
    assert report["result"] == "coarse 22 of 4 right"  # X is A as often as B
    (tmp_path / "answers.csv").write_text(report["text"])
    _, choices = read_answers([tmp_path / "answers.csv"])
    assert sorted(choice.correct for choice in choices) == [False, False, True, True]


@in_browser
def test_answers_survive_a_reload_and_start_over_deletes_them() -> None:
    # A reload would run the test's own script again, so what the page does on loading is called instead.
    script = """
    buttons()[1].click();
    set(sliders()[0], 42);
    const before = JSON.stringify(state.plan);
    state = load();
    await show(-1);
    const word = document.getElementById('begin').textContent;
    click('begin');
    await loaded();
    const after = { rating: sliders()[0].value, same: JSON.stringify(state.plan) === before, word };
    window.confirm = () => true;
    click('restart');
    return { ...after, left: Object.keys(state.answers).length, session: state.session.length };
    """
    report = drive(listening_page(items(1)), BEGIN + script)
    assert report == {"rating": "42", "same": True, "word": "Go on", "left": 0, "session": 12}


@in_browser
def test_keys() -> None:
    script = """
    const press = (key) => document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    const heard = [];
    for (const key of ['2', 'r', '5', '9']) { press(key); heard.push(player.audible); }
    press(' ');
    return { heard, playing: player.playing };
    """
    script = script.replace("document.dispatchEvent", "document.body.dispatchEvent")
    report = drive(listening_page(items(1)), BEGIN + script)
    assert report == {"heard": [2, 0, 5, 5], "playing": False}
