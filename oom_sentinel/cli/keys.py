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
Keys and signals of a terminal, read without echo until the picture ends.

A key, a new window size and a signal end a wait at once; the terminal's modes are given back
whatever the end was.
"""

from collections.abc import Iterator
import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What terminals send for keys that are more than a character.
NAMED = {b'\x1b[A': 'up', b'\x1b[B': 'down', b'\x1b[5~': 'page up', b'\x1b[6~': 'page down',
         b'\x1bOA': 'up', b'\x1bOB': 'down', b'\x1b[H': 'home', b'\x1b[1~': 'home'}
READ_BYTES = 64


class Keyboard:
    """Waits for keys and signals; use it as what `taken` yields."""

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
    """Make ctrl-z a key like any other: a shell on the alternate screen helps nobody."""
    modes = termios.tcgetattr(keys)
    modes[6][termios.VSUSP] = b'\0'
    termios.tcsetattr(keys, termios.TCSADRAIN, modes)


@contextlib.contextmanager
def taken() -> Iterator[Keyboard]:
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
