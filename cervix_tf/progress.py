"""The progress of a command, on standard error, so that its results can be piped on.

In a terminal each stage has a bar; elsewhere, such as in a log, a stage that lasts is a line, and so is every
`LONGEST_SILENCE`. Code that is imported says nothing: only a command turns this on (see `errors.exit_cleanly`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TextIO, TypeVar

if TYPE_CHECKING:
    import rich.progress

T = TypeVar("T")

FIRST_LINE = 2.0
"""Seconds that a stage may last without a line in a log: most are over by then."""
LONGEST_SILENCE = 25.0
"""Seconds between two lines of a log at most."""


@dataclass(eq=False)
class Stage:
    """Something that takes a while; whoever does it says how far it is."""

    what: str
    total: int
    unit: str
    note: str = ""
    done: int = 0
    started: float = field(default_factory=time.monotonic)

    def advance(self, count: int = 1) -> None:
        """So much more is done."""
        self.done += count
        if _shown is not None:
            _shown.changed(self)

    def say(self, note: str) -> None:
        """What is worth a line of its own, such as the end of an epoch."""
        self.note = note
        if _shown is not None:
            _shown.said(self)

    def how_far(self) -> str:
        """`120 of 500 images, about 40 s left`; nothing where it cannot be counted."""
        if not self.total:
            return ""
        words = f"{self.done} of {self.total} {self.unit}"
        seconds = time.monotonic() - self.started
        if 0 < self.done < self.total and seconds > FIRST_LINE:
            words += f", about {duration(seconds / self.done * (self.total - self.done))} left"
        return words


@contextlib.contextmanager
def stage(what: str, total: int = 0, unit: str = "") -> Iterator[Stage]:
    """Show `what` while the block runs, and how many of `total` `unit` are done; 0: it cannot be counted."""
    one = Stage(what, total, unit)
    shown = _shown
    if shown is None:
        yield one
        return
    shown.begin(one)
    try:
        yield one
    finally:
        shown.end(one)


def counted(items: Iterable[T], what: str, total: int, unit: str) -> Iterator[T]:
    """The same items, each of which is a step of a stage."""
    with stage(what, total, unit) as one:
        for item in items:
            yield item
            one.advance()


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Show the stages that begin within the block."""
    global _shown  # noqa: PLW0603 - a process has one standard error
    if _shown is not None:
        yield
        return
    display: _Display = _Bars() if sys.stderr.isatty() else _Log()
    _shown = display
    try:
        yield
    finally:
        _shown = None
        display.close()


class _Display(Protocol):
    def begin(self, one: Stage) -> None: ...
    def changed(self, one: Stage) -> None: ...
    def said(self, one: Stage) -> None: ...
    def end(self, one: Stage) -> None: ...
    def close(self) -> None: ...


class _Log:
    """Lines, for a file or a pipe."""

    def __init__(self) -> None:
        self._file = _standard_error()
        self._running: list[Stage] = []
        self._announced: set[Stage] = set()
        self._last = time.monotonic()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def begin(self, one: Stage) -> None:
        with self._lock:
            self._running.append(one)

    def changed(self, one: Stage) -> None:
        pass  # the watch sees it

    def said(self, one: Stage) -> None:
        with self._lock:
            self._announced.add(one)
            self._line(f"{one.what}: {one.note}")

    def end(self, one: Stage) -> None:
        with self._lock:
            self._running.remove(one)
            self._announced.discard(one)

    def close(self) -> None:
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(0.5):
            with self._lock:
                if not self._running:
                    continue
                now, one = time.monotonic(), self._running[-1]
                silent = now - self._last > LONGEST_SILENCE
                if one not in self._announced and (silent or now - one.started > FIRST_LINE):
                    self._announced.add(one)
                    self._line(f"{one.what} ..." + (f" ({one.total} {one.unit})" if one.total else ""))
                elif silent:
                    self._line(f"{one.what}: " + (one.how_far() or f"for {duration(now - one.started)} so far"))

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            print(text, file=self._file, flush=True)


class _Bars:
    """A bar for each running stage, below what the command prints."""

    def __init__(self) -> None:
        self._display: rich.progress.Progress | None = None
        self._bars: dict[Stage, rich.progress.TaskID] = {}

    def begin(self, one: Stage) -> None:
        if self._display is None:
            self._display = _bars()
            self._display.start()
        self._bars[one] = self._display.add_task(one.what, total=one.total or None, note="")

    def changed(self, one: Stage) -> None:
        if self._display is not None:
            self._display.update(self._bars[one], completed=one.done, note=self._note(one))

    def said(self, one: Stage) -> None:
        self.changed(one)

    def end(self, one: Stage) -> None:
        if self._display is not None:
            self._display.remove_task(self._bars.pop(one))

    def close(self) -> None:
        if self._display is not None:
            self._display.stop()

    @staticmethod
    def _note(one: Stage) -> str:
        return ", ".join(filter(None, (one.how_far(), one.note)))


def _bars() -> rich.progress.Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(file=_standard_error()),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else it would take away what is piped on
    )


def _standard_error() -> TextIO:
    """A copy of standard error, since `quiet.libraries` takes the original away for a while."""
    try:
        copy = os.dup(sys.stderr.fileno())
    except (OSError, ValueError):  # it is no file, such as in a notebook
        return sys.stderr
    return os.fdopen(copy, "w", encoding=sys.stderr.encoding, errors=sys.stderr.errors)


def duration(seconds: float) -> str:
    """A time in the unit that suits it: `0.4 s`, `45 s`, `7.5 min`, `2.0 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


_shown: _Display | None = None
