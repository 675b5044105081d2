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
Blocks of bytes to lines for a `Parser`, leaving out at the speed of memory what cannot matter.

While the parser is idle a block is searched for the few words that a report can begin with;
only from there on it is cut into lines.  Entries of the journal's export format are stepped
over one by one, by the lengths they give: what a program logs may look like an entry of its
own.  At most a block and MAX_HELD bytes are held.
"""

from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kills.oom_report import foreign_json
from oom_sentinel.kills.oom_report import journal
from oom_sentinel.kills.oom_report import locate
from oom_sentinel.kills.oom_report import printed
from oom_sentinel.kills.oom_report.message import MAX_LINE
from oom_sentinel.kills.oom_report.parser import Parser
from oom_sentinel.kills.oom_report.record import Clock

# The longest line that is fed; of a longer one the beginning.
MAX_HELD = 1 << 16
FIRST_LINES = 50
# Every line that matters has one of these, a list of events apart, which is shorter than what the
# parser reads at the beginning.  An array is a message in the journal that is no UTF-8.
JSON, ARRAYS = b'"MESSAGE"', (b'"MESSAGE":[', b'"MESSAGE": [')
WORDS = (b'oom', b'Kill', b'SIG', *ARRAYS)
RARE = {b'Kill': b'K', b'SIG': b'G', **dict.fromkeys(ARRAYS, b'[')}
LOOK, FEW, TRIES = 4096, 8, 256
# nohang names its victim this many bytes before it says what it sends.
SENT, BEFORE_SENT = (b'SIGTERM to the', b'SIGKILL to the'), 8192


class _Finder:
    """
    Where each word comes next in a block; each is searched once over the block.

    A word costs 0.2 to 0.6 ns a byte, a single byte that is rare 0.02 ns.
    """

    def __init__(self, block: bytes, end: int) -> None:
        self._block = block
        self._end = end
        json = block.find(JSON, 0, end) >= 0
        self._next = {word: -2 for word in WORDS if json or word not in ARRAYS}
        self._entry = -2

    def find(self, start: int) -> int:
        """Return where the next opener begins at or behind `start`, -1 where none does."""
        best = -1
        for word, last in self._next.items():
            if last == -1:
                continue
            at = last
            if at < start:
                at = self._next[word] = self._search(word, start)
            if at >= 0 and (best < 0 or at < best):
                best = at
        return best

    def _search(self, word: bytes, start: int) -> int:
        """Return where a word is next; where its rare byte is not rare the word is searched."""
        block, rare = self._block, RARE.get(word)
        if rare is None or block.count(rare, start, start + LOOK) > FEW:
            return block.find(word, start, self._end)
        before = word.index(rare)
        at = start + before
        for _ in range(TRIES):
            at = block.find(rare, at, self._end)
            if at < 0 or block.startswith(word, at - before):
                return at if at < 0 else at - before
            at += 1
        return block.find(word, at - before, self._end)

    def entry(self, start: int) -> int:
        """Return where the next export entry begins at or behind `start`, -1 where none does."""
        block = self._block
        while self._entry != -1 and self._entry < start:
            self._entry = block.find(journal.FIRST, start, self._end)
            if self._entry > 0 and not block.startswith(b'\n', self._entry - 1):
                start, self._entry = self._entry + 1, -2  # in the middle of a line
        return self._entry


class Stream:
    """Feeds a parser with blocks of a log; the result is that of feeding every line."""

    def __init__(self, parser: Parser) -> None:
        """Begin a log."""
        self._parser = parser
        self._held = b''
        self._skipping = False

    def feed(self, block: bytes) -> tuple[OomKill, ...]:
        """Take the next bytes of the log."""
        if self._skipping:
            end = block.find(b'\n')
            if end < 0:
                return ()
            block, self._skipping = block[end:], False
        block = self._held + block
        end = block.rfind(b'\n') + 1
        if end and self._parser.idle:  # an entry over several lines may go on in the next block
            last = block.rfind(b'\n', 0, end - 1) + 1
            begin = printed.begin_of(block, 0, last)
            end = begin if begin < last else end
        self._held = block[end:]
        found = self._lines(block, end) if end else ()
        if len(self._held) > MAX_HELD:
            if self._parser.in_binary:
                self._parser.feed_binary(self._held)
                self._held, self._skipping = b'', not self._parser.in_binary
            else:
                self._held, self._skipping = self._held[:MAX_HELD], True
        return found

    def _lines(self, block: bytes, end: int) -> tuple[OomKill, ...]:
        """Feed the lines up to `end`: those of a report, and of entries that matter."""
        parser, finder, at = self._parser, _Finder(block, end), 0
        found: tuple[OomKill, ...] = ()
        while at < end:
            if parser.idle:
                begin, at = at, _next_line(block, at, end, finder)
                parser.line += block.count(b'\n', begin, at)
                if at >= end:
                    break
            line_end = block.find(b'\n', at, end)
            line_end = end if line_end < 0 else line_end
            found += parser.feed(block[at:line_end])
            at = line_end + 1
        return found

    def end(self) -> tuple[OomKill, ...]:
        """Return what only the end of the log decides."""
        held, self._held = self._held, b''
        found = self._lines(held, len(held)) if held else ()
        return found + self._parser.end()


def _next_line(block: bytes, at: int, end: int, finder: _Finder) -> int:
    """Return where the next line begins that may matter, `end` where none does."""
    while at < end:
        hit, entry = finder.find(at), finder.entry(at)
        if entry >= 0 and (hit < 0 or entry <= hit):
            at = journal.skip(block, entry, end if hit < 0 else hit)
            if at > entry:
                continue
            return at
        if hit < 0:
            return end
        if block.startswith(SENT, hit):
            hit = max(at, hit - BEFORE_SENT)
        return printed.begin_of(block, at, block.rfind(b'\n', at, hit) + 1 or at)
    return at


def first_time(block: bytes, clock: Clock) -> float | None:
    """Return the time of the first dated line of a log's beginning, None where none is dated."""
    for line in block[:MAX_HELD].split(b'\n', FIRST_LINES)[:FIRST_LINES]:
        text = locate.cleaned(line)[:MAX_LINE]
        if text.startswith(b'{'):
            entry = journal.json_entry(foreign_json.parsed(text))
            record = None if entry is None else journal.record(entry, clock)
        else:
            record = locate.read(text, clock)
        if record is not None and record.wall_s is not None:
            return record.wall_s
    return None
