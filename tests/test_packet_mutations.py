"""Whatever comes instead of packets, the receiver counts it, goes on, and holds no more than it may."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.packet_mutations import verdict

ROOT = Path(__file__).parents[1]
FOUND = Path(__file__).parent / "found_packets"


@given(st.binary(min_size=1, max_size=61))
@settings(max_examples=200, deadline=None)
def test_no_packets_disturb_the_receiver_for_long(program: bytes) -> None:
    assert verdict(program) == ""


@pytest.mark.slow
def test_the_fuzzer_counts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.fuzz_format", "--packets", "--random", "--count", "300"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0 and "300 inputs, 0 failed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.txt")), ids=lambda path: path.stem)
def test_what_fuzzing_found_stays_mended(path: Path) -> None:
    assert verdict(bytes.fromhex(path.read_text().split("#")[0])) == ""
