"""Fuzz the reader of `.nac` files: break files at random and see that every change is noticed.

    python -m scripts.fuzz_format --count 200000 --seed 1
    python -m scripts.fuzz_format --count 200000 --seed 1 --packets     # the receiver of packets instead

With atheris installed the changes are guided by coverage (its options follow `--`), otherwise they are random. An
input fails if something is read wrongly, if that takes more than 20 seconds, or if it makes the process take more than
200 MB of memory beyond what reading unchanged files took. It is written to tests/format/found/, where the tests try it
for ever; the exit code is then 1.
"""

from __future__ import annotations

import hashlib
import random
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

import click

ROOT = Path(__file__).resolve().parents[1]
FOUND = ROOT / "tests" / "format" / "found"
FOUND_PACKETS = ROOT / "tests" / "found_packets"
SECONDS = 20
MEGABYTES = 200


def failure(program: bytes, packets: bool = False) -> str:
    """What goes wrong with this input: "" if nothing."""
    # Here, so that guided fuzzing can instrument it.
    if packets:
        from tests.packet_mutations import verdict
    else:
        from tests.format.format_mutations import verdict

    def too_long(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {SECONDS} s")

    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(SECONDS)
    try:
        return str(verdict(program))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        if hasattr(signal, "SIGALRM"):
            signal.alarm(0)


class Memory:
    """The peak of this process's resident memory, watched after all that is kept from input to input is there."""

    def __init__(self, packets: bool = False) -> None:
        from tests.format.format_mutations import BASES

        for number in range(len(BASES)):
            for change in (b"", bytes(5), bytes([0, 0x80, 0, 0, 1])):  # none; one in the header; one in a block
                failure(bytes([number]) + change, packets)
        self.allowed = self.peak() + MEGABYTES

    @staticmethod
    def peak() -> float:
        """MB, of the process so far; 0 where the system does not tell."""
        try:
            import resource
        except ImportError:
            return 0.0
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)

    def complaint(self) -> str:
        """What to say of the input tried last: "" if it took no more than is allowed. Then more is allowed."""
        peak = self.peak()
        if peak <= self.allowed:
            return ""
        self.allowed = peak + MEGABYTES
        return f"memory grew to {peak:.0f} MB"


def keep(program: bytes, what: str, packets: bool = False) -> Path:
    """Write a failing input where the tests find it."""
    folder = FOUND_PACKETS if packets else FOUND
    folder.mkdir(exist_ok=True)
    path = folder / f"{hashlib.sha256(program).hexdigest()[:12]}.txt"
    path.write_text(f"{program.hex()} # {' '.join(what.split())}\n")
    return path


def shrink(program: bytes, packets: bool = False) -> bytes:
    """A shorter input that fails as well: changes are taken out one by one."""
    start = 1
    while start < len(program):
        shorter = program[:start] + program[start + 5 :]
        if failure(shorter, packets):
            program = shorter
        else:
            start += 5
    return program


def fuzz_random(count: int, seed: int, packets: bool = False) -> int:
    """Try `count` random inputs; returns how many failed."""
    chance = random.Random(seed)
    failures = 0
    memory = Memory(packets)
    print(f"memory with unchanged files: {memory.peak():.0f} MB", flush=True)
    begun = time.monotonic()
    for number in range(1, count + 1):
        program = chance.randbytes(1 + 5 * min(1 + int(chance.expovariate(0.7)), 12))
        what = failure(program, packets)
        grown = memory.complaint()
        if what:
            failures += 1
            small = shrink(program, packets)
            print(f"{what} -> {keep(small, failure(small, packets), packets)}", flush=True)
        elif grown:  # the peak stays, so there is no telling what a shorter input takes
            failures += 1
            print(f"{grown} -> {keep(program, grown, packets)}", flush=True)
        if number % 10_000 == 0 or number == count:
            seconds = time.monotonic() - begun
            print(f"{number} inputs, {failures} failed, {seconds:.0f} s, {memory.peak():.0f} MB at most", flush=True)
    return failures


def fuzz_guided(options: list[str]) -> None:
    """Let atheris choose the inputs, until it is stopped or one fails."""
    import atheris

    with atheris.instrument_imports(include=["nac.format"]):
        import tests.format.format_mutations  # noqa: F401
    memory = Memory()

    def test_one_input(program: bytes) -> None:
        what = failure(program) or memory.complaint()
        if what:
            raise RuntimeError(f"{what} -> {keep(program, what)}")

    atheris.Setup([sys.argv[0], *options], test_one_input)
    atheris.Fuzz()


@click.command()
@click.option("--count", default=200_000, show_default=True, help="Random inputs to try.")
@click.option("--seed", default=0, show_default=True)
@click.option("--packets", is_flag=True, help="Packets at their receiver, at random, instead of files.")
@click.option("--random", "at_random", is_flag=True, help="Random inputs even with atheris installed.")
@click.argument("options", nargs=-1)
def main(count: int, seed: int, packets: bool, at_random: bool, options: tuple[str, ...]) -> None:
    """Break files in every way and see whether the reader notices; OPTIONS, after --, are for atheris."""
    if not at_random and not packets and find_spec("atheris"):
        fuzz_guided(list(options))
    sys.exit(1 if fuzz_random(count, seed, packets) else 0)


if __name__ == "__main__":
    main()
