"""When a run ends: after so much time, at so many steps, or at a signal."""

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Budget:
    """When to stop: after so many minutes, at so many steps, or at a signal. `clock` gives the time in seconds."""

    minutes: float = math.inf
    steps: int = 1 << 60
    stop: bool = False
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.start = self.clock()

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return self.clock() - self.start

    def share(self, step: int) -> float:
        """How much of the budget is spent, 0 to 1."""
        return min(1.0, max(self.seconds / 60 / self.minutes, step / self.steps))

    def listen(self) -> None:
        """Stop at SIGINT and SIGTERM after the step at hand."""

        def on_signal(number: int, frame: FrameType | None) -> None:
            self.stop = True

        for number in SIGNALS:
            signal.signal(number, on_signal)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """`listen` for a while: afterwards signals do again what they did before."""
        before = [signal.getsignal(number) for number in SIGNALS]
        self.listen()
        try:
            yield
        finally:
            for number, handler in zip(SIGNALS, before, strict=True):
                signal.signal(number, handler)
