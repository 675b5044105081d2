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

"""Where `kills` reads: named files, plain or packed, or all the logs that this host keeps."""

import bz2
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace
import glob
import gzip
import io
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any
from typing import IO
import zlib

from oom_sentinel.cli.output import Unusable
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kills.oom_report import Parser
from oom_sentinel.kills.oom_report import Stream

BLOCK = 1 << 18
FAMILIES = ('kern.log', 'syslog', 'messages')
MAGIC: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b'\x1f\x8b', lambda plain: gzip.GzipFile(fileobj=plain)),
    (b'BZh', bz2.BZ2File), (b'\xfd7zXZ\x00', lzma.LZMAFile))
JOURNAL_MAGIC = b'LPKSHHRH'
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, OSError)
FIELDS = ('MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_FACILITY,_TRANSPORT,_SOURCE_MONOTONIC_TIMESTAMP,'
          '_BOOT_ID')
KMSG_GRANT = 'sysctl kernel.dmesg_restrict=0 or CAP_SYSLOG (sudo) gives the right'
JOURNAL_GRANT = ('group systemd-journal or adm gives the right '
                 '(usermod -aG systemd-journal USER)')
FILE_GRANT = 'group adm gives the right (usermod -aG adm USER)'
TIMEOUT_S = 60.0
# A clock that was never set says nothing about a log's years.
A_SET_CLOCK_S = 946684800.0


@dataclass(frozen=True, slots=True)
class Found:
    """Kills, what was read, and what could not be read and why."""

    kills: tuple[OomKill, ...] = ()
    read: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def plus(self, other: 'Found') -> 'Found':
        """Return both, each kill once: the earlier source is the better one."""
        kept = list(self.kills)
        kept.extend(k for k in other.kills if not any(same(k, known) for known in self.kills))
        return Found(tuple(kept), self.read + other.read, self.refused + other.refused)


def same(one: OomKill, other: OomKill) -> bool:
    """Tell whether two sources speak of the same kill; clocks of logs differ by their delay."""
    if (one.victim_pid, one.victim_comm) != (other.victim_pid, other.victim_comm):
        return False
    if one.time is not None and other.time is not None and abs(one.time - other.time) > 120:
        return False
    if one.boot_time_s is not None and other.boot_time_s is not None:
        return abs(one.boot_time_s - other.boot_time_s) < 1e-3
    return one.time is not None and other.time is not None


def _light(kills: tuple[OomKill, ...]) -> list[OomKill]:
    """Leave out the raw lines: a log of gigabytes must not be kept in memory."""
    return [replace(kill, lines=()) for kill in kills]


def named(path: str) -> Found:
    """
    Read a file, `-` for standard input; what a damaged file holds before its damage counts.

    :raises Unusable: when it cannot be opened.
    """
    if path == '-':
        return _blocks(sys.stdin.buffer, Parser('standard input', now_s=time.time()),
                       'standard input')
    try:
        with open(path, 'rb') as stream:
            return _opened(stream, path)
    except OSError as error:
        grant = f'; {FILE_GRANT}' if isinstance(error, PermissionError) else ''
        raise Unusable(f'{path}: {error.strerror or error}{grant}') from error


def _opened(stream: IO[bytes], path: str) -> Found:
    start = stream.read(len(JOURNAL_MAGIC)) if stream.seekable() else b''
    if start.startswith(JOURNAL_MAGIC):
        return _journal_file(path)
    if start.startswith(ZSTD_MAGIC):
        raise Unusable(f'{path}: zstd is not read here: zstdcat {path} | oom_sentinel kills '
                       '--file -')
    if start:
        stream.seek(0)
    written_s = os.fstat(stream.fileno()).st_mtime
    now_s = time.time()
    if start and A_SET_CLOCK_S < written_s < now_s:
        now_s = written_s  # dates without a year are not later than the file
    return _blocks(stream, Parser(path, now_s=now_s), path)


def _blocks(stream: IO[bytes], parser: Parser, name: str) -> Found:
    """Read to the end, unpacking what is packed; damage ends it and is told."""
    reader = Stream(parser)
    kills: list[OomKill] = []
    refused: tuple[str, ...] = ()
    try:
        for block in _unpacked(stream):
            kills += _light(reader.feed(block))
    except DAMAGED as error:
        refused = (f'{name}: {_words(error)}',)
    return Found(tuple(kills + _light(reader.end())), (name,), refused)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f'damaged, read up to the damage: {error}'


def _unpacked(stream: IO[bytes]) -> Iterator[bytes]:
    """Give blocks as they come, so that nothing waits for a pipe to fill one."""
    plain: io.BufferedReader[Any] = stream if isinstance(
        stream, io.BufferedReader) else io.BufferedReader(stream, BLOCK)  # type: ignore
    first = plain.peek(8)[:8]
    reader = next((opened(plain) for magic, opened in MAGIC if first.startswith(magic)), None)
    if reader is None:
        while block := plain.read1(BLOCK):
            yield block
        return
    held = b''
    try:
        while block := reader.read1(BLOCK):  # a few kB each
            held += block
            if len(held) >= BLOCK:
                yield held
                held = b''
    except DAMAGED:
        yield held
        raise
    yield held


def of_host(since_s: float | None) -> Found:
    """Read the kernel's own buffer, the journal of all boots, and what a syslog wrote."""
    return _kmsg().plus(_of_journal(since_s)).plus(below('/var/log'))


def _kmsg() -> Found:
    boot_wall_s = time.time() - time.monotonic()
    parser = Parser('kmsg', boot_wall_s)
    kills: list[OomKill] = []
    try:
        descriptor = os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as error:
        return Found(refused=(f'/dev/kmsg: {error.strerror}; {KMSG_GRANT}',))
    except OSError:
        return _dmesg(boot_wall_s)  # a container without the device
    try:
        while True:
            try:
                record = os.read(descriptor, 1 << 14)
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # overwritten while it was read: the next read goes on behind the gap
            if not record:
                break
            kills += _light(parser.feed(record))
    except OSError as error:
        return Found(refused=(f'/dev/kmsg: {error.strerror}; {KMSG_GRANT}',))
    finally:
        os.close(descriptor)
    return Found(tuple(kills + _light(parser.end())), ('/dev/kmsg',))


def _dmesg(boot_wall_s: float) -> Found:
    program = shutil.which('dmesg')
    if program is None:
        return Found()
    said = _said([program, '-r'])
    if not said:
        return Found(refused=(f'dmesg: it shows nothing; {KMSG_GRANT}',))
    return _blocks(io.BytesIO(said), Parser('dmesg', boot_wall_s), 'dmesg')


def _of_journal(since_s: float | None) -> Found:
    """Read the kernel's messages of all boots."""
    program = shutil.which('journalctl')
    if program is None:
        return Found()
    last = _said([program, '_TRANSPORT=kernel', '-n', '1', '-o', 'json', '-q', '--no-pager'])
    if not last.strip():
        # Without the right the journal looks empty; root's is, where no journald runs.
        return Found(refused=() if os.geteuid() == 0 else (
            f'journal: it shows this user no message of the kernel; {JOURNAL_GRANT}',))
    words = ['_TRANSPORT=kernel']
    if since_s is not None:
        words.append(f'--since=@{max(0, int(since_s))}')
    return _journal(program, words, 'journal')[0]


def _journal_file(path: str) -> Found:
    program = shutil.which('journalctl')
    if program is None:
        raise Unusable(f'{path}: a journal file needs journalctl to read it')
    found, code, said = _journal(program, ['--file', path], path)
    if code:
        raise Unusable(f'{path}: journalctl: {" ".join(said.split())[:200]}')
    return found


def _said(command: list[str]) -> bytes:
    """Return what a program prints, nothing when it fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return b''
    return done.stdout if done.returncode == 0 else b''


def _journal(program: str, words: list[str], name: str) -> tuple[Found, int, str]:
    """Read what journalctl prints; return its exit code and complaints too."""
    with tempfile.TemporaryFile() as complaints:
        with subprocess.Popen(
                [program, *words, '-o', 'json', '-q', '--no-pager', f'--output-fields={FIELDS}'],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints) as child:
            assert child.stdout is not None
            found = _blocks(child.stdout, Parser(name), name)
        complaints.seek(0)
        said = complaints.read(1 << 12).decode('utf-8', 'replace')
    return found, child.returncode, said


def below(folder: str) -> Found:
    """Read kern.log, syslog and messages with their rotated parts, the oldest first."""
    found = Found()
    for family in FAMILIES:
        for path in _oldest_first(os.path.join(folder, family)):
            try:
                found = found.plus(named(path))
            except Unusable as error:
                found = replace(found, refused=(*found.refused, str(error)))
    return found


def _oldest_first(path: str) -> list[str]:
    """Return the parts of a rotated log: .2.gz before .1 before the log; dated ones by date."""
    parts = [p for p in glob.glob(glob.escape(path) + '*')
             if re.fullmatch(r'(?:[.-]\d+)*(?:\.gz|\.xz|\.bz2)?', p[len(path):])]

    def age(part: str) -> tuple[int, int]:
        number = re.search(r'[.-](\d+)', part[len(path):])
        if number is None:
            return (1, 0)
        value = int(number.group(1))
        return (0, value if value > 10 ** 6 else -value)
    return sorted(parts, key=age)
