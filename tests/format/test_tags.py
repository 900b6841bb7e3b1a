import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nac.errors import FormatError, OptionError
from nac.format.edit import read_tags, remove_tags, set_tags
from tests.format.format_files import META, make

TAGGED = replace(META, tags=(("TITLE", "Rain"), ("ARTIST", "A"), ("artist", "B")), extra=((9, b"other"),))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.nac"
    path.write_bytes(make(TAGGED).data)
    return path


def test_tags_are_read(path):
    assert read_tags(path) == TAGGED.tags


def test_set_tags_replace_those_of_the_same_keys_and_change_nothing_else(path):
    meta = set_tags(path, [("Artist", "C"), ("Artist", "D"), ("DATE", "2024")])
    tags = (("TITLE", "Rain"), ("Artist", "C"), ("Artist", "D"), ("DATE", "2024"))
    assert meta == replace(TAGGED, tags=tags)
    assert path.read_bytes() == make(meta).data


def test_tags_are_removed(path):
    meta = remove_tags(path, ["aRTIST", "none"])
    assert path.read_bytes() == make(replace(TAGGED, tags=(("TITLE", "Rain"),))).data
    assert meta.tags == read_tags(path) == (("TITLE", "Rain"),)
    remove_tags(path)
    assert path.read_bytes() == make(replace(TAGGED, tags=())).data


def test_only_ascii_letters_are_compared_without_case(path):
    set_tags(path, [("É", "1"), ("é", "2")])
    remove_tags(path, ["é"])
    assert read_tags(path)[-1] == ("É", "1")


@given(st.lists(st.tuples(st.sampled_from(["a", "B", "c"]), st.text(st.characters(codec="utf-8"), max_size=5))))
def test_setting_tags_twice_is_setting_them_once(tmp_path_factory, tags):
    path = tmp_path_factory.mktemp("tags") / "a.nac"
    path.write_bytes(make(META).data)
    set_tags(path, tags)
    once = path.read_bytes()
    assert list(read_tags(path)) == tags
    set_tags(path, tags)
    assert path.read_bytes() == once


def test_a_failure_leaves_the_file_as_it_was(path):
    before = path.read_bytes()
    for bad in ([("", "x")], [("a=b", "x")], [("a", "x" * 70_000)]):
        with pytest.raises(OptionError):
            set_tags(path, bad)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["a.nac"]


def test_what_is_no_nac_file_stays_untouched(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF....WAVE")
    with pytest.raises(FormatError):
        set_tags(path, [("a", "b")])
    assert path.read_bytes() == b"RIFF....WAVE"


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_stay(path):
    link = path.with_name("link.nac")
    link.symlink_to(path)
    path.chmod(0o640)
    set_tags(link, [("a", "b")])
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert ("a", "b") in read_tags(path)


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs a device")
def test_a_device_is_never_replaced():
    with pytest.raises(OptionError):
        set_tags("/dev/null", [("a", "b")])
