"""Which inputs become which outputs."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from nac.cli.batch import run_all
from nac.cli.jobs import Job
from nac.cli.paths import plan
from nac.errors import NacError, OptionError, WeightsError
from nac.extensions import AUDIO_EXTENSIONS, NAC_EXTENSIONS
from nac.files import NewFile


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
            (["a.wav", "b.flac", "c.nac"], None, "need -o FOLDER"),
            (["a.wav", "b.flac", "-"], None, "single file"),
            (["music"], None, "is a folder"),
            (["-", "a.wav"], "out", "single file"),
            (["music"], "-", "single file"),
            (["out"], "music", "there are no"),
            (["music", "x.nac"], None, "looks like a file"),
            (["a.wav", "b.flac"], "x.nac", "looks like a file"),
        ],
    )
    def test_what_is_refused(self, paths, output, message):
        with pytest.raises(OptionError, match=message):
            encode_plan(*paths, output=output)

    def test_two_inputs_of_one_name_collide(self, here):
        (here / "music" / "x.wav").touch()
        jobs = plan(("music",), "out", takes=AUDIO_EXTENSIONS, makes=NAC_EXTENSIONS, suffix=".nac")
        assert [job.conflict for job in jobs] == ["", "music/x.wav would become out/x.nac too, like music/x.mp3", ""]

    def test_several_files_without_a_folder_go_beside_their_sources(self):
        assert encode_plan("a.wav", "b.flac") == [("a.wav", "a.nac"), ("b.flac", "b.nac")]
        assert encode_plan("a.wav", "b.flac", "music/x.mp3")[2] == ("music/x.mp3", "music/x.nac")
        assert decode_plan("a.nac", "b.nac") == [("a.nac", "a.wav"), ("b.nac", "b.wav")]


def jobs(tmp_path, *names):
    for name in names:
        (tmp_path / name).write_bytes(b"in")
    return [Job(str(tmp_path / name), str(tmp_path / "out" / f"{name}.nac"), True) for name in names]


def write_target(job):
    with open(job.target, "w") as file:
        file.write("new")
    return 0


class Doing:
    """A task that does the same with every job."""

    def __init__(self, work):
        self.work = work

    def begin(self):
        return self.work


class Never:
    def begin(self):
        raise AssertionError("nothing needs the model")


def test_the_model_is_loaded_only_if_there_is_work(tmp_path):
    with pytest.raises(NacError, match="no file"):
        run_all([Job(str(tmp_path / "no.wav"), str(tmp_path / "no.nac"))], Never())
    (job,) = jobs(tmp_path, "a")
    os.makedirs(os.path.dirname(job.target))
    write_target(job)
    assert run_all([job], Never(), skip_existing=True) == 0
    with pytest.raises(NacError, match="exists; use --force"):
        run_all([job], Never())
    assert run_all([job, job], Never(), quiet=True) == 1


def test_force_overwrites_and_a_file_is_never_its_own_output(tmp_path):
    (job,) = jobs(tmp_path, "a")
    os.makedirs(os.path.dirname(job.target))
    (tmp_path / "out" / "a.nac").write_text("old")
    run_all([job], Doing(write_target), force=True)
    assert (tmp_path / "out" / "a.nac").read_text() == "new"
    (tmp_path / "link").symlink_to(tmp_path / "a")
    os.link(tmp_path / "a", tmp_path / "hard")
    for other in ("a", "link", "hard"):
        with pytest.raises(NacError, match="same file"):
            run_all([Job(job.source, str(tmp_path / other))], Doing(write_target), force=True)
    assert (tmp_path / "a").read_bytes() == b"in"


def test_one_failure_does_not_stop_the_rest(tmp_path, capsys):
    several = jobs(tmp_path, "a", "b", "c", "d")

    def work(job):
        if job.source.endswith("b"):
            raise NacError("it cannot be read")
        if job.source.endswith("c"):
            raise PermissionError(13, "Permission denied", job.target)
        return write_target(job)

    assert run_all(several, Doing(work)) == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["a.nac", "d.nac"]
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"nac: {tmp_path}/b: it cannot be read",
        f"nac: {tmp_path}/out/c.nac: Permission denied",
        "nac: 2 done, 0 skipped, 2 failed",
    ]


def test_the_highest_code_counts_and_failure_above_all(tmp_path):
    several = jobs(tmp_path, "a", "b")
    assert run_all(several, Doing(lambda job: 3 if job.source.endswith("a") else 0), quiet=True) == 3
    assert run_all([*several, Job("/no/such", "x")], Doing(lambda job: 3), quiet=True) == 1


class Broken:
    def begin(self):
        raise WeightsError("the weights are broken")


@pytest.mark.parametrize("processes", [1, 2])
def test_trouble_with_the_model_ends_the_batch(tmp_path, processes):
    with pytest.raises(WeightsError, match="are broken"):
        run_all(jobs(tmp_path, "a", "b"), Broken(), processes)
    assert not os.path.exists(tmp_path / "out")


@dataclass(frozen=True)
class Mixed:
    """Something of everything, by the name of the input."""

    def begin(self):
        return self.work

    def work(self, job):
        name = os.path.basename(job.source)
        if name.startswith("bad"):
            raise NacError("it cannot be read")
        if name.startswith("slow"):
            with NewFile(job.target) as new:
                new.file.write(b"half")
                time.sleep(60)
        if name.startswith("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        write_target(job)
        return 3 if name.startswith("damaged") else 0


@pytest.mark.slow
def test_processes_share_the_work(tmp_path, capsys):
    several = jobs(tmp_path, "a", "bad", "c", "damaged", "e")
    assert run_all(several, Mixed(), 2) == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["a.nac", "c.nac", "damaged.nac", "e.nac"]
    assert capsys.readouterr().err.splitlines() == [
        f"nac: {tmp_path}/bad: it cannot be read",
        "nac: 4 done, 0 skipped, 1 failed",
    ]
    assert run_all(several[2:], Mixed(), 3, force=True, quiet=True) == 3


class Threads:
    """Writes down how many threads torch would use, and which process asked."""

    def begin(self):
        return self.work

    def work(self, job):
        import torch

        time.sleep(0.2)  # so that no process does all of it before the others have begun
        with NewFile(job.target) as new:
            new.file.write(f"{torch.get_num_threads()} {os.getpid()}".encode())
        return 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processors", "processes", "threads", "given"),
    [(4, 2, 2, None), (5, 2, 2, None), (2, 0, 1, None), (1, 3, 1, None), (4, 2, 1, "1")],
)
def test_processes_share_the_processors(tmp_path, monkeypatch, processors, processes, threads, given):
    """Together they use no more threads than there are processors, unless told to."""
    monkeypatch.setattr("nac.cli.pool.processors", lambda: processors)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert run_all(jobs(tmp_path, *"abcd"), Threads(), processes, quiet=True) == 0
    found = [(tmp_path / "out" / f"{name}.nac").read_text().split() for name in "abcd"]
    assert {int(count) for count, _ in found} == {threads}
    assert len({process for _, process in found} - {str(os.getpid())}) <= (processes or processors)


def test_processors_are_those_that_may_be_used():
    from nac.cli.pool import processors

    assert 1 <= processors() <= os.cpu_count()
    if hasattr(os, "sched_setaffinity"):
        before = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {min(before)})
            assert processors() == 1
        finally:
            os.sched_setaffinity(0, before)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_that_is_killed_is_told(tmp_path):
    with pytest.raises(NacError, match="a process was killed"):
        run_all(jobs(tmp_path, "killed", "b"), Mixed(), 2)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_all_processes_and_leave_nothing_behind(tmp_path, number):
    script = (
        "import click\n"
        "from nac.cli.batch import run_all\n"
        "from nac.cli.guard import GuardedGroup\n"
        "from tests.test_cli_batch import Mixed, jobs\n"
        "from pathlib import Path\n"
        "main = GuardedGroup()\n"
        f"main.command('go')(lambda: run_all(jobs(Path({str(tmp_path)!r}), 'slow1', 'slow2', 'slow3'), Mixed(), 2))\n"
        "main(['go'])\n"
    )
    root = os.path.dirname(os.path.dirname(__file__))
    child = subprocess.Popen([sys.executable, "-c", script], cwd=root, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 60
    out = tmp_path / "out"
    while not out.exists() or len(os.listdir(out)) < 2:
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.05)
    os.killpg(child.pid, number) if number == signal.SIGINT else child.send_signal(number)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 128 + number
    assert b"Traceback" not in errors
    assert os.listdir(out) == []
