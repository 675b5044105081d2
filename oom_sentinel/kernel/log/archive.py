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
Logs of the past: files plain, packed or in UTF-16, and the rotated parts of a log.

Gives blocks of bytes; what they mean is for others to say.
"""

import bz2
import codecs
from collections.abc import Callable
from collections.abc import Iterator
import errno
import glob
import gzip
import io
import lzma
import os
import re
import stat
from typing import Any
from typing import IO
import zlib

BLOCK = 1 << 18
FAMILIES = ('kern.log', 'syslog', 'messages')
PACKED: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b'\x1f\x8b', lambda plain: gzip.GzipFile(fileobj=plain)),
    (b'BZh', bz2.BZ2File), (b'\xfd7zXZ\x00', lzma.LZMAFile))
JOURNAL_MAGIC = b'LPKSHHRH'
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, OSError)
_UTF16 = {codecs.BOM_UTF16_LE: 'utf-16-le', codecs.BOM_UTF16_BE: 'utf-16-be'}


def blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """
    Yield the bytes of a log as UTF-8, unpacked.

    :raises OSError: and the others of DAMAGED, after all that could be read.
    """
    decoder: codecs.IncrementalDecoder | None = None
    first = True
    for block in _unpacked(stream):
        if first:
            name = _utf16(block)
            decoder = None if name is None else codecs.getincrementaldecoder(name)('replace')
            first = False
        yield block if decoder is None else decoder.decode(block).lstrip('\ufeff').encode(
            'utf-8', 'replace')


def _utf16(start: bytes) -> str | None:
    """Return the name of UTF-16 by its mark, or by every other byte being 0; else None."""
    marked = _UTF16.get(start[:2])
    if marked is not None:
        return marked
    text = start[:64]
    for name, zeros, letters in (('utf-16-le', text[1::2], text[::2]),
                                 ('utf-16-be', text[::2], text[1::2])):
        if len(text) >= 16 and not any(zeros) and all(letters):
            return name
    return None


def _unpacked(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield blocks as they come, so that nothing waits for a pipe to fill one."""
    plain: io.BufferedReader[Any] = stream if isinstance(
        stream, io.BufferedReader) else io.BufferedReader(stream, BLOCK)  # type: ignore
    first = plain.peek(8)[:8]
    reader = next((opened(plain) for magic, opened in PACKED if first.startswith(magic)), None)
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


def rotated(path: str) -> list[str]:
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


def open_plain(path: str) -> IO[bytes]:
    """
    Open a log that the user did not name: only a regular file, and no link.

    :raises OSError: when it is no plain file or may not be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, 'no plain file')
    return os.fdopen(descriptor, 'rb')
