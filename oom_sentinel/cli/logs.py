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

from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import replace
import os
import stat
import sys
import time
from typing import IO

from oom_sentinel.cli.output import Unusable
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kernel import log
from oom_sentinel.kernel.log import archive
from oom_sentinel.kernel.log import journal
from oom_sentinel.kills.oom_report import first_time
from oom_sentinel.kills.oom_report import Parser
from oom_sentinel.kills.oom_report import Stream

# A clock that was never set says nothing about a log's years.
A_SET_CLOCK_S = 946684800.0
STDIN = 'standard input'


@frozen
class Found:
    """
    Kills, what was read, and what could not be read and why.

    `doubts` are sentences on lines that look like a kill and are not understood, `begins` the
    time of the oldest line of each log, `without_kernel` the logs that hold no message of the
    kernel.
    """

    kills: tuple[OomKill, ...] = ()
    read: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    begins: tuple[tuple[str, float], ...] = ()
    without_kernel: tuple[str, ...] = ()

    def plus(self, other: 'Found') -> 'Found':
        """Return both, each kill once: the earlier source is the better one."""
        kept = list(self.kills)
        kept.extend(k for k in other.kills if not any(same(k, known) for known in self.kills))
        return Found(tuple(kept), self.read + other.read, self.refused + other.refused,
                     self.doubts + other.doubts, self.begins + other.begins,
                     self.without_kernel + other.without_kernel)


def same(one: OomKill, other: OomKill) -> bool:
    """Return whether two sources report the same kill; clocks of logs differ by their delay."""
    if (one.victim_pid, one.victim_comm, one.kind) != (
            other.victim_pid, other.victim_comm, other.kind):
        return False
    if one.time is not None and other.time is not None and abs(one.time - other.time) > 120:
        return False
    if one.boot_time_s is not None and other.boot_time_s is not None:
        return abs(one.boot_time_s - other.boot_time_s) < 1e-3
    return one.time is not None and other.time is not None


def named(path: str) -> Found:
    """
    Read a file, `-` for standard input; what a damaged file holds before its damage counts.

    :raises Unusable: when it cannot be opened.
    """
    if path == '-':
        return _found(archive.blocks(sys.stdin.buffer), Parser(STDIN, now_s=time.time()), STDIN)
    try:
        with open(path, 'rb') as stream:
            if _is_endless(stream):
                raise Unusable(f'{path}: a device, so no log')
            return _opened(stream, path)
    except OSError as error:
        raise Unusable(f'{path}: {error.strerror or error}{_file_grant(error)}') from error


def _is_endless(stream: IO[bytes]) -> bool:
    """Return whether this is a device; a terminal and /dev/null come to an end."""
    mode = os.fstat(stream.fileno()).st_mode
    return stat.S_ISBLK(mode) or (
        stat.S_ISCHR(mode) and not stream.isatty()
        and os.fstat(stream.fileno()).st_rdev != os.stat(os.devnull).st_rdev)


def _file_grant(error: OSError) -> str:
    return f'; {log.FILE_GRANT}' if isinstance(error, PermissionError) else ''


def _opened(stream: IO[bytes], path: str, part: bool = False) -> Found:
    """
    Read a log that is open.

    :param part: it is a part of a rotated log, which may begin and end inside a report.
    """
    start = stream.read(len(archive.JOURNAL_MAGIC)) if stream.seekable() else b''
    if start.startswith(archive.JOURNAL_MAGIC):
        return _journal_file(path)
    if start.startswith(archive.ZSTD_MAGIC):
        raise Unusable(f'{path}: zstd is not read here: zstdcat {path} | oom_sentinel kills '
                       '--file -')
    if start:
        stream.seek(0)
    written_s = os.fstat(stream.fileno()).st_mtime
    now_s = time.time()
    if start and A_SET_CLOCK_S < written_s < now_s:
        now_s = written_s  # dates without a year are not later than the file
    return _found(archive.blocks(stream), Parser(path, now_s=now_s), path, part)


def _found(blocks: Iterable[bytes], parser: Parser, name: str, part: bool = False) -> Found:
    """Read to the end; damage ends it and is told."""
    reader, watched = Stream(parser), _Watched(blocks, parser)
    kills: list[OomKill] = []
    refused: tuple[str, ...] = ()
    try:
        for block in watched:
            kills += _light(reader.feed(block))
    except log.Refused as error:
        refused = (f'{name}: {error}',)
    except archive.DAMAGED as error:
        refused = (f'{name}: {_words(error)}',)
    kills += _light(reader.end())
    kills.sort(key=lambda kill: kill.line or 0)
    if part:
        parser.suspicion.reports = 0
    doubts = tuple(f'{sentence} of {name}' for sentence in parser.suspicion.sentences(len(kills)))
    return Found(tuple(kills), (name,), refused, doubts,
                 () if watched.begins is None else ((name, watched.begins),),
                 () if watched.kernel or kills or doubts else (name,))


class _Watched:
    """Passes blocks on; notes where a log begins and whether it holds lines of the kernel."""

    def __init__(self, blocks: Iterable[bytes], parser: Parser) -> None:
        """Watch the blocks that a parser reads."""
        self._blocks = blocks
        self._parser = parser
        self.begins: float | None = None
        self.kernel = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the blocks as they are."""
        first = True
        for block in self._blocks:
            if first and block:
                first = False
                self.begins = first_time(block, self._parser.clock)
                self.kernel = log.looks_like_dmesg(block)
            self.kernel = self.kernel or b'kernel' in block
            yield block


def _light(kills: tuple[OomKill, ...]) -> list[OomKill]:
    """Leave out the raw lines: a log of gigabytes must not be kept in memory."""
    return [replace(kill, lines=()) for kill in kills]


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f'damaged, read up to the damage: {error}'


def of_host(since_s: float | None) -> Found:
    """Read the kernel's own buffer, the journal of all boots, and what a syslog wrote."""
    return _kmsg().plus(_of_journal(since_s)).plus(below('/var/log'))


def _kmsg() -> Found:
    parser = Parser('kmsg', time.time() - time.monotonic())
    try:
        source = log.Kmsg()
    except log.Refused as error:
        return Found(refused=(str(error),) if str(error) else ())
    first: list[bytes] = []
    kills: list[OomKill] = []
    try:
        for record in source.rest():
            if len(first) < 50:
                first.append(record)
            kills += _light(parser.feed(record))
    except OSError as error:
        return Found(refused=(f'/dev/kmsg: {error.strerror}; {log.KMSG_GRANT}',))
    finally:
        source.close()
    kills += _light(parser.end())
    begins = first_time(b'\n'.join(first), parser.clock)
    return Found(tuple(kills), ('/dev/kmsg',), begins=() if begins is None else (
        ('/dev/kmsg', begins),))


def _of_journal(since_s: float | None) -> Found:
    """Read the messages of the kernel and of programs that kill, of all boots."""
    journalctl = journal.program()
    if journalctl is None:
        return Found()
    if not journal.shows_kernel(journalctl):
        # Without the right the journal looks empty; root's is, where no journald runs.
        return Found(refused=() if os.geteuid() == 0 else (
            f'journal: it shows this user no message of the kernel; {journal.GRANT}',))
    return _found(journal.past_blocks(journalctl, journal.past_arguments(since_s)),
                  Parser('journal'), 'journal')


def _journal_file(path: str) -> Found:
    journalctl = journal.program()
    if journalctl is None:
        raise Unusable(f'{path}: a journal file needs journalctl to read it')
    found = _found(journal.past_blocks(journalctl, ['--file', path]), Parser(path), path)
    if found.refused:
        raise Unusable(found.refused[0])
    return found


def below(folder: str) -> Found:
    """Read kern.log, syslog and messages with their rotated parts, the oldest first."""
    found = Found()
    for family in archive.FAMILIES:
        for path in archive.rotated(os.path.join(folder, family)):
            try:
                with archive.open_plain(path) as stream:
                    found = found.plus(_opened(stream, path, part=True))
            except Unusable as error:
                found = replace(found, refused=(*found.refused, str(error)))
            except OSError as error:
                found = replace(found, refused=(
                    *found.refused, f'{path}: {error.strerror or error}{_file_grant(error)}'))
    return found
