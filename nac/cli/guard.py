"""From exceptions to one line on standard error and an exit code, and from signals to exceptions."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import click

from nac.errors import AudioWarning, IncompleteAudioWarning, NacError, OptionError

FAILED, USAGE, DAMAGED = 1, 2, 3
INTERRUPTED, TERMINATED = 128 + 2, 128 + 15


class Terminated(BaseException):
    """The process was asked to end (SIGTERM, or its terminal went away)."""


def echo_error(message: str) -> None:
    """One line on standard error; standard output belongs to data."""
    click.echo(f"nac: {message}", err=True)


def describe(error: BaseException, path: str | None = None) -> str:
    """What went wrong as one line that names the file concerned.

    >>> describe(FileNotFoundError(2, "No such file or directory", "a.nac"))
    'a.nac: No such file or directory'
    >>> describe(NacError("the file is empty"), "b.nac")
    'b.nac: the file is empty'
    """
    if isinstance(error, MemoryError):
        text = "there is not enough memory"
    elif isinstance(error, OSError):
        text = error.strerror or str(error)
        path = path if error.filename is None else os.fsdecode(error.filename)
    else:
        text = " ".join(str(error).split())
    return text if path is None or path in text else f"{path}: {text}"


def code_of(error: BaseException) -> int:
    """The exit code of an error."""
    return USAGE if isinstance(error, OptionError) else FAILED


@contextlib.contextmanager
def attribute_errors_to(path: str) -> Iterator[None]:
    """Let errors of the system that name no file, such as a full disk, name this one."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None and path != "-":
            error.filename = path
        raise


class GuardedGroup(click.Group):
    """A group of commands whose failures are one line, `nac: ...`, and an exit code, never a traceback."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)  # in the order of their use, not of the alphabet

    #: The arguments as they were given.
    _given: Sequence[str] = ()

    def main(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        """Run the command line, in any locale."""
        survive_any_locale()
        self._given = sys.argv[1:] if args is None else args
        return super().main(args, *more, **options)

    def invoke(self, context: click.Context) -> Any:
        try:
            with _signals(), shown_warnings():
                result = super().invoke(context)
                sys.stdout.flush()
            if not isinstance(result, int) or not result:
                return result
            code = result
        except BrokenPipeError:
            _forget_stdout()
            code = FAILED
        except (NacError, OSError, MemoryError) as error:
            echo_error(describe(error))
            code = code_of(error)
        except click.NoSuchOption as error:
            names = [text for text in self._given if text.startswith(error.option_name) and os.path.lexists(text)]
            if names:
                hint = f"{error.message} A name that begins with a dash goes behind two of them: -- {names[0]}"
                raise click.UsageError(hint, error.ctx) from None
            raise
        except KeyboardInterrupt:
            echo_error("interrupted")
            code = INTERRUPTED
        except Terminated:
            code = TERMINATED
        raise click.exceptions.Exit(code)


def survive_any_locale() -> None:
    """Let text that the terminal's encoding does not know be written as escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """The reader of our output has gone: what is still buffered must not fail once more while Python ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


@contextlib.contextmanager
def shown_warnings() -> Iterator[None]:
    """Show what `nac.audio` warns of as one line, like everything else."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, AudioWarning):
            echo_error(str(message))
        else:
            before(message, category, *place, **more)

    with warnings.catch_warnings():
        before = warnings.showwarning
        warnings.filterwarnings("always", category=AudioWarning)
        warnings.showwarning = show
        yield


@contextlib.contextmanager
def noticed_losses() -> Iterator[list[str]]:
    """Give a list that fills with what is told of audio that could not be read, on its way to being shown."""
    losses: list[str] = []
    before = warnings.showwarning

    def notice(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, IncompleteAudioWarning):
            losses.append(str(message))
        before(message, category, *place, **more)

    warnings.showwarning = notice
    try:
        yield losses
    finally:
        warnings.showwarning = before


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `Terminated`, so that unfinished files are removed on the way out."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # once is enough: what follows is tidying up
        raise Terminated

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        names = []
    before = {getattr(signal, name): signal.signal(getattr(signal, name), end) for name in names}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
