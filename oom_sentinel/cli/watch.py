# Copyright 2026 oom_sentinel maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""
`status --watch`: the picture drawn every period, until a key or a signal ends it.

A key, a new window size and a signal end a wait at once; the terminal's modes are given back
whatever the end was.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from types import FrameType

from oom_sentinel.cli import order
from oom_sentinel.cli import output
from oom_sentinel.cli.gauges import Growth
from oom_sentinel.cli.output import Unusable
from oom_sentinel.cli.picture import AT
from oom_sentinel.cli.picture import Picture
from oom_sentinel.cli.printer import new_console
from oom_sentinel.cli.tree import Reading
from oom_sentinel.facts.status import Status
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.report.risk import KILL_ORDER_OF
from oom_sentinel.risk import badness
from oom_sentinel.settings import Settings

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What terminals send for keys that are more than a character.
NAMED = {b'\x1b[A': 'up', b'\x1b[B': 'down', b'\x1b[5~': 'page up', b'\x1b[6~': 'page down',
         b'\x1bOA': 'up', b'\x1bOB': 'down', b'\x1b[H': 'home', b'\x1b[1~': 'home'}
READ_BYTES = 64


class Keyboard:
    """Waits for keys and signals; made by `open_keyboard`."""

    def __init__(self, wake: int, keys: int | None) -> None:
        """Keep the pipe that signals write to, and the descriptor that keys come from."""
        self._wake = wake
        self._keys = keys
        self.ended = False

    def wait(self, seconds: float) -> str:
        """
        Return the name of a key, '' after the time or at a new window size.

        Sets `ended` on a signal that ends the program.
        """
        until = time.monotonic() + seconds
        while not self.ended and (left := until - time.monotonic()) > 0:
            watched = [self._wake] if self._keys is None else [self._wake, self._keys]
            ready, _, _ = select.select(watched, [], [], left)
            if self._wake in ready:
                signals = os.read(self._wake, READ_BYTES)
                self.ended = any(number in ENDING for number in signals)
                if self.ended or signal.SIGWINCH in signals:
                    return ''
            if self._keys is not None and self._keys in ready:
                typed = os.read(self._keys, READ_BYTES)
                if not typed:
                    self._keys = None  # the terminal's input was closed
                return NAMED.get(typed, typed[:1].decode('ascii', 'replace'))
        return ''


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up pipe carries the number of the signal."""


def _without_suspension(keys: int) -> None:
    """Make ctrl-z a key like any other: a shell on the alternate screen is of no use."""
    modes = termios.tcgetattr(keys)
    modes[6][termios.VSUSP] = b'\0'
    termios.tcsetattr(keys, termios.TCSADRAIN, modes)


@contextlib.contextmanager
def open_keyboard() -> Iterator[Keyboard]:
    """Read keys without echo and take the signals; give both back at the end."""
    wake, write = os.pipe()
    os.set_blocking(write, False)
    keys = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    modes = termios.tcgetattr(keys) if keys is not None else None
    signals = (*ENDING, signal.SIGWINCH)
    before = [signal.signal(number, _ignore) for number in signals]
    last = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        if keys is not None:
            tty.setcbreak(keys)
            _without_suspension(keys)
        yield Keyboard(wake, keys)
    finally:
        if keys is not None and modes is not None:
            termios.tcsetattr(keys, termios.TCSADRAIN, modes)
        signal.set_wakeup_fd(last)
        for number, handler in zip(signals, before):
            signal.signal(number, handler)
        os.close(wake)
        os.close(write)


ORDER_MAX = 200  # rows that can be scrolled to


def can_draw() -> bool:
    """Return whether standard output is a terminal that can be drawn on."""
    return (sys.stdout is not None and sys.stdout.isatty()
            and os.environ.get('TERM', 'dumb') != 'dumb')


class KillOrder:
    """The kill order where memory is shortest, with the growth of each process."""

    def __init__(self, reading: Reading, settings: Settings) -> None:
        """Take the tree to read from and the groups to name."""
        self._reading = reading
        self._group_of = order.group_namer(settings)
        self._growth = Growth()

    def rows(self, statuses: Sequence[Status]) -> list[tuple[str, ...]]:
        """
        Read the processes again and return the rows below `picture.ORDER_COLUMNS`.

        :param statuses: they name the control group that the order is for.
        """
        root, table, host = self._reading.root, self._reading.table, self._reading.host
        meminfo = root.meminfo()
        if isinstance(meminfo, Unavailable):
            return []
        now_s = time.monotonic()
        processes = table.read(now_s, scores=True)
        self._growth.take(now_s, processes)
        totalpages = badness.machine_totalpages(meminfo, host.page_size)
        group = next((value for s in statuses for key, value in s.values
                      if key == KILL_ORDER_OF), '')
        if group.startswith('/'):
            reading = Reading(root, table, host, meminfo, processes, 0.0)
            with contextlib.suppress(Unusable):  # the group may be gone by now
                processes, totalpages = order.inside(group, reading)
        candidates = badness.kill_order(processes, totalpages=totalpages,
                                        page_size=host.page_size)[:ORDER_MAX]
        rows = order.rows(candidates, totalpages, self._group_of)
        grown = [self._growth.mib_per_min(c.process) for c in candidates]
        return [(*row[:AT], '' if g is None else f'{g:+.1f}', *row[AT:])
                for row, g in zip(rows, grown)]


def draw(look: Callable[[], tuple[Status, ...]], title: Callable[[], str],
         kill_order: KillOrder, period_s: float, color: str) -> tuple[Status, ...]:
    """Draw what `look` returns every period and at a new size; return the last of it."""
    from rich.live import Live
    console = new_console(output.colored(color), None, force_terminal=True)
    picture = Picture(title())
    with open_keyboard() as keyboard, Live(
            picture, console=console, screen=True, auto_refresh=False,
            redirect_stdout=False, redirect_stderr=False) as live:
        due_s = time.monotonic()
        while not keyboard.ended:
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + period_s
                picture.statuses = look()
                picture.order = kill_order.rows(picture.statuses)
                picture.title = title()
            columns, rows = os.get_terminal_size(sys.stdout.fileno())
            console.size = (columns or 80, rows or 24)  # type: ignore[assignment]
            live.refresh()
            key = keyboard.wait(max(0.0, due_s - time.monotonic()))
            if key and not picture.press(key):
                break
    return picture.statuses
