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
A terminal taken over for a live picture, and given back whatever ends it.

The alternate screen keeps what stood there; a key, a new size and a signal wake the wait.
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

from oom_sentinel.cli.screen import Size

ENTER, LEAVE = '\x1b[?1049h\x1b[?25l', '\x1b[?25h\x1b[?1049l'
HOME, TO_END_OF_LINE, TO_END = '\x1b[H', '\x1b[K', '\x1b[J'
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
QUIT_KEYS = b'qQ'


class Terminal:
    """Draws whole pictures and waits for keys; use it as what `taken` yields."""

    def __init__(self, wake: int, keys: int | None) -> None:
        """Keep the pipe that signals write to, and where keys come from."""
        self.wake = wake
        self.keys = keys
        self.ended = False

    def draw(self, lines: list[str]) -> None:
        """Show the lines from the top, without flicker: nothing is cleared beforehand."""
        encoding = sys.stdout.encoding or 'utf-8'
        text = HOME + f'{TO_END_OF_LINE}\n'.join(lines) + TO_END_OF_LINE + TO_END
        sys.stdout.write(text.encode(encoding, 'backslashreplace').decode(encoding))
        sys.stdout.flush()

    def size(self) -> Size:
        """Return the present size; 80 x 24 where the terminal tells none."""
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
        return Size(columns or 80, rows or 24)

    def wait(self, seconds: float) -> None:
        """Return after a while, at once on a new size; `ended` tells of q or a signal."""
        end = time.monotonic() + seconds
        while not self.ended and (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select(
                [self.wake] + ([] if self.keys is None else [self.keys]), [], [], left)
            if self.keys in ready:
                typed = os.read(self.keys, 64)  # type: ignore[arg-type]
                self.ended = self.ended or any(key in QUIT_KEYS for key in typed)
                if not typed:
                    self.keys = None
            if self.wake in ready:
                signals = os.read(self.wake, 64)
                self.ended = self.ended or any(number in ENDING for number in signals)
                if signal.SIGWINCH in signals:
                    return


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Let the wake-up pipe tell."""


def _without_suspension(keys: int) -> None:
    """Make ctrl-z a key like others: a shell on the alternate screen helps nobody."""
    modes = termios.tcgetattr(keys)
    modes[6][termios.VSUSP] = b'\0'
    termios.tcsetattr(keys, termios.TCSADRAIN, modes)


@contextlib.contextmanager
def taken() -> Iterator[Terminal]:
    """Take the terminal over; give it back at the end, whatever the reason."""
    wake, write = os.pipe()
    os.set_blocking(write, False)
    keys = sys.stdin.fileno() if sys.stdin.isatty() else None
    modes = termios.tcgetattr(keys) if keys is not None else None
    signals = (*ENDING, signal.SIGWINCH)
    before = [signal.signal(number, _ignore) for number in signals]
    last = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        if keys is not None:
            tty.setcbreak(keys)
            _without_suspension(keys)
        sys.stdout.write(ENTER)
        yield Terminal(wake, keys)
    finally:
        sys.stdout.write(LEAVE)
        sys.stdout.flush()
        if keys is not None and modes is not None:
            termios.tcsetattr(keys, termios.TCSADRAIN, modes)
        signal.set_wakeup_fd(last)
        for number, handler in zip(signals, before):
            signal.signal(number, handler)
        os.close(wake)
        os.close(write)
