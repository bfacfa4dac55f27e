"""The progress of a command, on standard error, so that its results can be piped on.

In a terminal each stage has a bar; elsewhere, such as in a log, a stage that lasts is a line, and so is every
`LONGEST_SILENCE`. Code that is imported says nothing: only a command turns this on (see `errors.exit_cleanly`).

While a library holds Python's lock, as TensorFlow Lite's converter does for minutes, no thread of this process can show
anything. A process of its own does then (`_Standby`): this file, run as a program.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    import rich.console
    import rich.progress

T = TypeVar("T")

FIRST_LINE = 2.0
"""Seconds that a stage may last without a line in a log: most are over by then."""
FIRST_OUTPUT = 0.9
"""Seconds after which a command says what it does; with what Python takes to start, people wait for less than two."""
LONGEST_SILENCE = 25.0
"""Seconds between two lines of a log at most."""
LONGEST_STANDSTILL = 2.0
"""Seconds for which a terminal's bars may stand still."""


@dataclass(eq=False)
class Stage:
    """Something that takes a while; whoever does it says how far it is."""

    what: str
    total: int
    unit: str
    note: str = ""
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    first: tuple[float, int] | None = None
    """When the first was done, and how many it was: a training's step waits until its network is traced."""

    def advance(self, count: int = 1) -> None:
        """So much more is done."""
        self.done += count
        self.first = self.first or (time.monotonic(), self.done)
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
        if self.first is not None and self.first[1] < self.done < self.total:
            seconds = time.monotonic() - self.first[0]
            if seconds > FIRST_LINE:
                words += f", about {duration(seconds / (self.done - self.first[1]) * (self.total - self.done))} left"
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


def console() -> rich.console.Console:
    """What prints tables on standard output; where that has the bars too, above them."""
    from rich.console import Console

    return (_shown.console() if _shown is not None else None) or Console()


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


class _Display:
    """Shows the running stages; a thread looks after them."""

    def __init__(self) -> None:
        self._file = _standard_error()
        self._running: list[Stage] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._standby = _Standby(self._file)
        threading.Thread(target=self._watch, daemon=True).start()

    def begin(self, one: Stage) -> None:
        """It runs from now on, within those that run already."""
        with self._lock:
            self._running.append(one)

    def changed(self, one: Stage) -> None:
        """More of it is done."""

    def said(self, one: Stage) -> None:
        """It has a note."""

    def console(self) -> rich.console.Console | None:
        """What prints above what is shown; None: any console does."""
        return None

    def end(self, one: Stage) -> None:
        """It is over, well or with an error."""
        with self._lock:
            self._running.remove(one)
            self._standby.expect()

    def close(self) -> None:
        """Nothing is shown any more."""
        with self._lock:
            self._closed.set()
            self._standby.close()

    def _watch(self) -> None:
        while not self._closed.wait(0.5):
            with self._lock:
                if self._running and not self._closed.is_set():
                    self._look(time.monotonic())

    def _look(self, now: float) -> None:
        """Show what time alone changes; `_running` is not empty."""


class _Log(_Display):
    """Lines, for a file or a pipe."""

    def __init__(self) -> None:
        self._announced: set[Stage] = set()
        self._began = self._last = time.monotonic()
        super().__init__()

    def said(self, one: Stage) -> None:
        with self._lock:
            self._announced.add(one)
            self._line(f"{one.what}: {one.note}")

    def end(self, one: Stage) -> None:
        super().end(one)
        self._announced.discard(one)

    def _look(self, now: float) -> None:
        first = self._last == self._began and now - self._began > FIRST_OUTPUT
        for one in self._running:
            if one not in self._announced and (first or now - one.started > FIRST_LINE):
                self._announce(one)
        one = self._running[-1]
        if now - self._last > LONGEST_SILENCE:
            if one in self._announced:
                self._line(f"{one.what}: " + (one.how_far() or f"for {duration(now - one.started)} so far"))
            else:
                self._announce(one)
        if self._announced:
            self._standby.expect(one, self._last + LONGEST_SILENCE + 1 - now, LONGEST_SILENCE)

    def _announce(self, one: Stage) -> None:
        self._announced.add(one)
        self._line(f"{one.what} ..." + (f" ({one.total} {one.unit})" if one.total else ""))

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            print(text, file=self._file, flush=True)


class _Bars(_Display):
    """A bar for each running stage, below what the command prints."""

    def __init__(self) -> None:
        self._display: rich.progress.Progress | None = None
        self._bars: dict[Stage, rich.progress.TaskID] = {}
        super().__init__()

    def begin(self, one: Stage) -> None:
        if self._display is None:
            self._display = _bars(self._file)
            self._display.start()
        self._bars[one] = self._display.add_task(one.what, total=one.total or None, note="")
        super().begin(one)

    def changed(self, one: Stage) -> None:
        if self._display is not None:
            self._display.update(self._bars[one], completed=one.done, note=self._note(one))

    def said(self, one: Stage) -> None:
        self.changed(one)

    def console(self) -> rich.console.Console | None:
        from rich.file_proxy import FileProxy

        # Another console would write where the bars are: it looks through what Rich puts in place of standard output.
        return self._display.console if self._display is not None and isinstance(sys.stdout, FileProxy) else None

    def end(self, one: Stage) -> None:
        super().end(one)
        if self._display is not None:
            self._display.remove_task(self._bars.pop(one))

    def close(self) -> None:
        super().close()
        if self._display is not None:
            self._display.stop()

    def _look(self, now: float) -> None:
        if now - self._running[0].started > LONGEST_STANDSTILL:
            self._standby.expect(self._running[-1], LONGEST_STANDSTILL, 1)

    @staticmethod
    def _note(one: Stage) -> str:
        return ", ".join(filter(None, (one.how_far(), one.note)))


class _Standby:
    """A process that shows a stage for as long as this one shows nothing; started with the first that lasts."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._process: subprocess.Popen[str] | None = None

    def expect(self, one: Stage | None = None, wait: float = 0, every: float = 0) -> None:
        """Show `one` unless this is called again within `wait` seconds, and then `every` so many; None: nothing."""
        with contextlib.suppress(OSError):  # it cannot be started, or was killed: that is not worth an error
            if self._process is None and one is not None:
                command = [sys.executable, "-I", "-S", __file__]
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=self._file,
                    encoding="utf-8",
                    errors="backslashreplace",
                )
            if self._process is not None and self._process.stdin is not None:
                what = " ".join(one.what.split()) if one else ""  # a file's name may hold a line's end
                text = f"{wait} {every} {time.monotonic() - one.started} {what}" if one else ""
                print(text, file=self._process.stdin, flush=True)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()  # it would wait for every fork of this process, which holds its input too
            with contextlib.suppress(OSError):
                self._process.communicate()
            self._process = None


def _stand_by() -> None:
    """The other side of `_Standby`, until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command takes Ctrl-C, and then closes our input
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    wait, every, started, what = None, 0.0, 0.0, ""
    while True:
        try:
            line = lines.get(timeout=wait)
        except queue.Empty:
            wait = every
            _show(f"{what}: for {duration(time.monotonic() - started)} so far")
            continue
        if not line:
            return
        wait = None
        if line.strip():
            first, then, before, what = line.strip().split(" ", 3)
            wait, every, started = float(first), float(then), time.monotonic() - float(before)


def _show(text: str) -> None:
    """A line of a log; in a terminal in place of the last bar, where it has left the cursor."""
    if sys.stderr.isatty():
        width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1
        print(f"\r\x1b[K{text[:width]}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def _bars(file: TextIO) -> rich.progress.Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(file=file),
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

if __name__ == "__main__":
    _stand_by()
