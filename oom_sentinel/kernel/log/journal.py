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
The systemd journal, through `journalctl -k -f -o json` on a pipe of ours.

The pipe outlives the program: when journalctl dies it is started again on the same pipe, so
the descriptor that others wait for stays the same.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import os
import select
import shutil
import subprocess
import tempfile

from oom_sentinel.kernel.log.archive import blocks
from oom_sentinel.kernel.log.source import Refused

PAST_LINES = 2000
AGAIN_S = 5.0
PAST_S = 60.0  # a journal of gigabytes on a slow disk
PROBE_S = 5.0  # the start waits for the answer, where /dev/kmsg is not ours
PENDING_MAX = 1 << 20  # a line without an end is not kept for ever
GRANT = 'group systemd-journal or adm gives the right (usermod -aG systemd-journal USER)'
FIELDS = ('MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,SYSLOG_FACILITY,_TRANSPORT,'
          '_SOURCE_MONOTONIC_TIMESTAMP,_BOOT_ID,_SYSTEMD_UNIT')
# Programs that kill for want of memory; the kernel says nothing of it.
KILLERS = ('systemd-oomd', 'earlyoom', 'nohang', 'nohang-desktop')
FROM_KERNEL = '_TRANSPORT=kernel'


class Journal:
    """The kernel's messages as journald keeps them: the last of this boot, then the new ones."""

    def __init__(self, program: str = 'journalctl', units: tuple[str, ...] = ()) -> None:
        """
        Ask whether kernel messages may be seen at all, then follow them.

        :param units: follow what these units write from now on, in place of the kernel.
        :raises Refused: with the group that would give the permission.
        """
        self.name = 'journal'
        self.missed = 0
        found = shutil.which(program)
        if found is None:
            raise Refused('')  # no systemd here: nothing that a permission would change
        self._program = found
        self._chosen = ['-b', *(f'_SYSTEMD_UNIT={unit}' for unit in units)] if units else ['-k']
        if not units:
            self._ask()
        self.descriptor: int | None
        self.descriptor, self._writer = os.pipe()
        os.set_blocking(self.descriptor, False)
        self._pending = b''
        self._started_s = float('-inf')
        self._child: subprocess.Popen[bytes] | None = None
        try:
            self._start(0 if units else PAST_LINES)
        except OSError as error:
            self.close()
            raise Refused(f'{found}: {error.strerror}') from error

    def _ask(self) -> None:
        try:
            said = subprocess.run(
                [self._program, '-k', '-b', '-n', '1', '-o', 'json', '--quiet', '--no-pager'],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                timeout=PROBE_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Refused(f'{self._program}: {error}') from error
        if said.returncode != 0 or not said.stdout.strip():
            raise Refused(f'the journal shows this user no kernel message; {GRANT}')

    def _start(self, lines: int) -> None:
        self._child = subprocess.Popen(
            [self._program, *self._chosen, '-f', '-o', 'json', '-n', str(lines), '--quiet',
             '--no-pager', f'--output-fields={FIELDS}'],
            stdin=subprocess.DEVNULL, stdout=self._writer, stderr=subprocess.DEVNULL)

    def read(self) -> list[bytes]:
        """Return the whole lines that came."""
        assert self.descriptor is not None
        parts = [self._pending]
        while True:
            try:
                parts.append(os.read(self.descriptor, 1 << 16))
            except BlockingIOError:
                break
        lines = b''.join(parts).split(b'\n')
        self._pending = lines.pop()
        if len(self._pending) > PENDING_MAX:
            self._pending = b''
        return [line for line in lines if line]

    def tend(self, now_s: float) -> None:
        """
        Start journalctl again when it has died, at most every AGAIN_S.

        Not while the pipe is full: it is read first, for a write would wait for ever.
        """
        if self.descriptor is None or self._child is None or self._child.poll() is None or (
                now_s - self._started_s < AGAIN_S) or not self._has_room():
            return
        self._started_s = now_s
        os.write(self._writer, b'\n')  # ends what the dead one left half written
        with contextlib.suppress(OSError):  # tried again; the counters show kills meanwhile
            self._start(0)

    def _has_room(self) -> bool:
        """Return whether a line can be written into the pipe without waiting."""
        poll = select.poll()
        poll.register(self._writer, select.POLLOUT)
        return bool(poll.poll(0))

    def close(self) -> None:
        """End journalctl and close the pipe."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(timeout=2.0)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self.descriptor is not None:
            os.close(self.descriptor)
            os.close(self._writer)
            self.descriptor = None


def program() -> str | None:
    """Return where journalctl is, None on a machine without systemd."""
    return shutil.which('journalctl')


def shows_kernel(journalctl: str) -> bool:
    """Return whether this user is shown messages of the kernel, of any boot."""
    try:
        done = subprocess.run(
            [journalctl, FROM_KERNEL, '-n', '1', '-o', 'json', '-q', '--no-pager'],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PAST_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())


def past_arguments(since_s: float | None) -> list[str]:
    """Return the matches for the kernel's messages of all boots and those of KILLERS."""
    words = [FROM_KERNEL]
    for name in KILLERS:
        words += ['+', f'SYSLOG_IDENTIFIER={name}']
    if since_s is not None:
        words.append(f'--since=@{max(0, int(since_s))}')
    return words


def past_blocks(journalctl: str, arguments: Sequence[str]) -> Iterator[bytes]:
    """
    Yield what journalctl prints of the past, as lines of JSON.

    :raises Refused: after the last block, with its complaint, when it fails.
    """
    with tempfile.TemporaryFile() as complaints:
        with subprocess.Popen(
                [journalctl, *arguments, '-o', 'json', '-q', '--no-pager',
                 f'--output-fields={FIELDS}'],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints) as child:
            if child.stdout is not None:
                yield from blocks(child.stdout)
        complaints.seek(0)
        said = complaints.read(1 << 12).decode('utf-8', 'replace')
    if child.returncode:
        raise Refused(f'journalctl: {" ".join(said.split())[:200]}')
