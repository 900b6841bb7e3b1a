"""Files appear whole or not at all."""

import os
from pathlib import Path

import pytest

from nac.files import NewFile, replacing


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with NewFile(target) as new:
        new.file.write(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole" and os.listdir(tmp_path) == ["a"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(KeyError), NewFile(target) as new:
        new.file.write(b"half")
        raise KeyError
    with pytest.raises(KeyError), replacing(target) as unfinished:
        unfinished.write_bytes(b"half")
        raise KeyError
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_an_unfinished_file_may_be_replaced_itself(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with replacing(target) as unfinished, NewFile(unfinished) as new:
        new.file.write(b"whole")
    assert target.read_bytes() == b"whole" and os.listdir(tmp_path) == ["a"]


def test_an_unfinished_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError), replacing(tmp_path / "a") as unfinished:
        unfinished.unlink()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="needs links and permissions")
def test_links_stay_and_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "plain").write_bytes(b"")
    with replacing(tmp_path / "link") as unfinished:
        (tmp_path / "private").touch(0o600)
        (tmp_path / "private").write_bytes(b"whole")
        (tmp_path / "private").replace(unfinished)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs a device")
def test_devices_are_not_replaced() -> None:
    with NewFile("/dev/null") as new:
        new.file.write(b"gone")
    with replacing("/dev/null") as path:
        path.write_bytes(b"gone")
    assert not os.path.isfile("/dev/null")
