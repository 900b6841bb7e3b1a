import sys
from pathlib import Path
from types import ModuleType

import pytest

from nac.errors import OptionError
from nac.study.config import SystemConfig, make_study, read_study
from nac.study.presets import PRESETS
from nac.study.system import make_system
from tests.study.small import small

STUDIES = Path(__file__).parents[2] / "scripts" / "studies"


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_studies_that_come_with_nac_can_be_read(path: Path) -> None:
    study = read_study(path)
    assert len(study.systems) > 1
    for system in study.systems:
        assert SystemConfig.from_json(system.to_json()) == system


def test_presets_make_systems() -> None:
    for name, config in PRESETS.items():
        assert make_system(config).trainable, name


def test_vary_makes_every_combination_of_every_system() -> None:
    study = make_study({
        "name": "s", "defaults": {"seconds": 1},
        "vary": {"latent": [64, 128], "loss": [{"l1": 1}, {"l1": 1, "mel": 2}]},
        "system": [{"name": "a"}, {"name": "b", "architecture": "vae"}],
    })  # fmt: skip
    assert len(study.systems) == 8
    last = study.systems[-1]
    assert last.name == "b latent 128 loss l1+mel"
    assert last.latent == 128 and last.architecture == "vae" and last.loss == (("l1", 1.0), ("mel", 2.0))
    assert last.seconds == 1.0


@pytest.mark.parametrize(("text", "message"), [
    ("latnt = 3", "no setting 'latnt'"),
    ("minutes = 'x'", "minutes is 'x'; it must be a number"),
    ("minutes = 0", "minutes is 0; it must be above 0"),
    ("[defaults]\nlatent = true", "latent is True; it must be a whole number"),
    ("[defaults]\nlatent = 64.5", "latent is 64.5; it must be a whole number"),
    ("[defaults]\nbits = [1]", "bits is [1]; it must be a list of values that are each from 2 to 16"),
    ("[defaults]\nrepresentation = 'wavelets'", "one of stft"),
    ("[defaults]\nphase = 'predicted'", "only the representation"),
    ("[defaults]\nloss = {l3 = 1.0}", "loss is {'l3': 1.0}; it must be weights"),
    ("[defaults]\nloss = 3", "table of numbers"),
    ("[defaults]\nrepresentation = 'waveform'\narchitecture = 'unet'", "goes with"),
    ("[[system]]\nname = 'a'\n[[system]]\nname = 'a'", "two systems are called 'a'"),
    ("[[system]]\nname = 'a b'\n[[system]]\nname = 'a-b'", "file names"),
    ("[[system]]\nname = 'nac'", "cannot be called"),
    ("[[system]]\nname = 'a'\n[[system]]\nname = 'b'\nsample_rate = 22050", "same sample_rate"),
    ("[vary]\nlatent = 64", "needs a list"),
    ("system = []", "no system"),
    ("[system]\nname = 'a'", "two brackets"),
    ("]", "not a TOML"),
])  # fmt: skip
def test_what_is_not_possible_is_said_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(OptionError) as caught:
        read_study(path)
    assert message in str(caught.value) and "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("present", ["tomllib", "tomli", None])
def test_either_reader_of_toml_will_do(present: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study.toml").write_text("[defaults]\nlatent = 64")
    reader = ModuleType("reader")
    reader.loads = lambda text: {"defaults": {"latent": int(text.split()[-1])}}  # type: ignore[attr-defined]
    for name in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, name, reader if name == present else None)
    if present:
        assert read_study(tmp_path / "study.toml").systems[0].latent == 64
    else:
        with pytest.raises(OptionError, match="pip install"):
            read_study(tmp_path / "study.toml")


def test_a_missing_study_is_said(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot read the study"):
        read_study(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "transformer", "latent": 33, "code_dim": 3},
        {"representation": "waveform", "channels": (4,) * 5, "hop": 48},
    ],
)
def test_sizes_that_do_not_fit_are_said(changes: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="system: "):
        make_system(small(**changes))
