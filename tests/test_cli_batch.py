"""Which inputs become which outputs."""

import os

import pytest

from nac.cli.batch import AUDIO_EXTENSIONS, NAC_EXTENSIONS, Job, plan, run_all
from nac.errors import NacError, OptionError


def encode_plan(*paths, output=None):
    jobs = plan(paths, output, takes=AUDIO_EXTENSIONS, makes=NAC_EXTENSIONS, suffix=".nac")
    return [(job.source, job.target) for job in jobs]


def decode_plan(*paths, output=None, suffix=".wav"):
    jobs = plan(paths, output, takes=NAC_EXTENSIONS, makes=AUDIO_EXTENSIONS, suffix=suffix)
    return [(job.source, job.target) for job in jobs]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ["a.wav", "b.flac", "music/x.mp3", "music/deep/y.ogg", "music/notes.txt", "music/.hidden.wav"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"data")
    (tmp_path / "music" / ".git").mkdir()
    (tmp_path / "music" / ".git" / "z.wav").touch()
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.mark.usefixtures("here")
class TestPlan:
    def test_one_file(self):
        assert encode_plan("a.wav") == [("a.wav", "a.nac")]
        assert encode_plan("a.wav", "b.nac") == [("a.wav", "b.nac")]
        assert encode_plan("a.wav", "anything") == [("a.wav", "anything")]
        assert encode_plan("a.wav", output="b.nac") == [("a.wav", "b.nac")]
        assert decode_plan("dir.d/a.nac") == [("dir.d/a.nac", "dir.d/a.wav")]
        assert decode_plan("a.nac", suffix=".flac") == [("a.nac", "a.flac")]
        assert decode_plan("a.nac", output="b.ogg") == [("a.nac", "b.ogg")]

    def test_standard_input_and_output(self):
        assert encode_plan("-") == [("-", "-")]
        assert encode_plan("-", "x.nac") == [("-", "x.nac")]
        assert encode_plan("a.wav", "-") == [("a.wav", "-")]
        assert encode_plan("a.wav", output="-") == [("a.wav", "-")]
        assert decode_plan("a.nac", os.devnull) == [("a.nac", os.devnull)]

    def test_a_folder_as_output(self):
        assert encode_plan("a.wav", "out") == [("a.wav", "out/a.nac")]
        assert encode_plan("a.wav", "new/") == [("a.wav", "new/a.nac")]
        assert encode_plan("a.wav", output="new") == [("a.wav", "new/a.nac")]
        assert encode_plan("a.wav", "b.flac", output="out") == [("a.wav", "out/a.nac"), ("b.flac", "out/b.nac")]

    def test_a_folder_as_input_is_mirrored_without_hidden_and_foreign_files(self):
        tree = [("music/deep/y.ogg", "out/deep/y.nac"), ("music/x.mp3", "out/x.nac")]
        assert sorted(encode_plan("music", output="out")) == tree
        assert sorted(encode_plan("music", "out")) == tree
        assert sorted(encode_plan("music", "a.wav", output="out")) == [("a.wav", "out/a.nac"), *tree]

    @pytest.mark.parametrize(
        ("paths", "output", "message"),
        [
            (["a.wav", "b.flac"], None, "looks like an input"),
            (["a.wav", "b.flac", "c.wav"], None, "need -o FOLDER"),
            (["music"], None, "is a folder"),
            (["-", "a.wav"], "out", "single file"),
            (["music"], "-", "single file"),
            (["a.wav", "music/../a.wav"], "out", "would both become"),
            (["out"], "music", "there are no"),
        ],
    )
    def test_what_is_refused(self, paths, output, message):
        with pytest.raises(OptionError, match=message):
            encode_plan(*paths, output=output)

    def test_two_inputs_of_one_name_collide(self, here):
        (here / "music" / "x.wav").touch()
        with pytest.raises(OptionError, match=r"music/x\.mp3 and music/x\.wav would both become out/x\.nac"):
            encode_plan("music", output="out")

    def test_decoding_two_files_needs_a_folder(self):
        with pytest.raises(OptionError, match="looks like an input"):
            decode_plan("a.nac", "b.nac")


def jobs(tmp_path, *names):
    for name in names:
        (tmp_path / name).write_bytes(b"in")
    return [Job(str(tmp_path / name), str(tmp_path / "out" / f"{name}.nac"), True) for name in names]


def write_target(job):
    with open(job.target, "w") as file:
        file.write("new")
    return 0


def test_the_model_is_loaded_only_if_there_is_work(tmp_path):
    def start():
        raise AssertionError("nothing needs the model")

    with pytest.raises(NacError, match="no file"):
        run_all([Job(str(tmp_path / "no.wav"), str(tmp_path / "no.nac"))], start)
    (job,) = jobs(tmp_path, "a")
    os.makedirs(os.path.dirname(job.target))
    write_target(job)
    assert run_all([job], start, skip_existing=True) == 0
    with pytest.raises(NacError, match="exists; use --force"):
        run_all([job], start)
    assert run_all([job, job], start, quiet=True) == 1


def test_force_overwrites_and_a_file_is_never_its_own_output(tmp_path):
    (job,) = jobs(tmp_path, "a")
    os.makedirs(os.path.dirname(job.target))
    (tmp_path / "out" / "a.nac").write_text("old")
    run_all([job], lambda: write_target, force=True)
    assert (tmp_path / "out" / "a.nac").read_text() == "new"
    (tmp_path / "link").symlink_to(tmp_path / "a")
    os.link(tmp_path / "a", tmp_path / "hard")
    for other in ("a", "link", "hard"):
        with pytest.raises(NacError, match="same file"):
            run_all([Job(job.source, str(tmp_path / other))], lambda: write_target, force=True)
    assert (tmp_path / "a").read_bytes() == b"in"


def test_one_failure_does_not_stop_the_rest(tmp_path, capsys):
    several = jobs(tmp_path, "a", "b", "c", "d")

    def work(job):
        if job.source.endswith("b"):
            raise NacError("it cannot be read")
        if job.source.endswith("c"):
            raise PermissionError(13, "Permission denied", job.target)
        return write_target(job)

    assert run_all(several, lambda: work) == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["a.nac", "d.nac"]
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"nac: {tmp_path}/b: it cannot be read",
        f"nac: {tmp_path}/out/c.nac: Permission denied",
        "nac: 2 done, 0 skipped, 2 failed",
    ]


def test_the_highest_code_counts_and_failure_above_all(tmp_path):
    several = jobs(tmp_path, "a", "b")
    assert run_all(several, lambda: lambda job: 3 if job.source.endswith("a") else 0, quiet=True) == 3
    assert run_all([*several, Job("/no/such", "x")], lambda: lambda job: 3, quiet=True) == 1


def test_trouble_with_the_model_ends_the_batch(tmp_path):
    def start():
        raise NacError("the weights are broken")

    with pytest.raises(NacError, match="weights"):
        run_all(jobs(tmp_path, "a", "b"), start)
