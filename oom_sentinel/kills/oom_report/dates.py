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
Dates of log lines, in any order and language, to seconds since the epoch; else None.

A date without a year is the latest that is not in the future, one without an offset is in the
reader's zone.  A date that can be read in two ways is None: a wrong time is worse than none.
"""

from collections.abc import Iterator
from datetime import datetime
from datetime import timedelta
from datetime import timezone
from datetime import tzinfo
from functools import lru_cache
import re

from oom_sentinel.kills.oom_report.locale_names import MONTHS
from oom_sentinel.kills.oom_report.locale_names import NUMBERED_MONTH
from oom_sentinel.kills.oom_report.locale_names import WEEKDAYS
from oom_sentinel.kills.oom_report.record import Clock

MAX_DATE = 160
_A_DAY_S = 86400.0
_TIME_OF_DAY = re.compile(r'(?:(?<=\d{4}:)|(?<![\d:.]))(\d{1,2}):(\d\d)'
                          r'(?::(\d\d)(?:[.,](\d{1,9}))?)?(?![\d:])')
_DOTTED_TIME = re.compile(r'(?<![\d.])(\d\d)\.(\d\d)\.(\d\d)()(?![\d.])')
_HALF_DAY = re.compile(r' ?([AaPp])\.?[Mm]\b')
_ISO_DATE = re.compile(r'(?<!\d)(\d{4})([-/.年])(\d{1,2})[-/.月](\d{1,2})日?(?=$|[\sT_,:])')
_DAY_FIRST = re.compile(r'(?<![\d.])(\d{1,2})\.(\d{1,2})\.(\d{4})(?![\d.])')
_OFFSET = re.compile(r'\s?([Zz]|UTC|GMT|[+-]\d\d:?\d\d)(?![\w:])')
_OTHER_ZONE = re.compile(r' ?[A-Z]{3,5}(?![\w:.])')
_EPOCH = re.compile(r'(?<![\d.])(\d{9,10}\.\d{3,9})(?!\d)')
_SPLIT = re.compile(r'[\s,()\[\]<>|"/:]+')
_DAY = re.compile(r'(\d{1,2})(?:\D{1,3})?')
_JOINED = re.compile(r'([^\d\W]{3,9})(\d{1,2})')  # dmesg -e
_STOPS = '.-\N{DEVANAGARI ABBREVIATION SIGN}'
_YEAR = re.compile(r'((?:19|20|21)\d\d)\D{0,2}')


@lru_cache(maxsize=2)  # made at the first date in words: 0.3 MB
def _numbers(rows: tuple[str, ...], first: int) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for number, row in enumerate(rows, first):
        for name in row.split():
            found[name] = (*found.get(name, ()), number)
    return found


@lru_cache(maxsize=256)
def find(text: bytes, clock: Clock) -> float | None:
    """
    Return the moment that a piece of a log line names, in seconds since the epoch.

    :param text: the piece: what stands in brackets, or all that stands before the message; of
        a long one only the end.
    """
    plain = _plain(text[-MAX_DATE:])
    time = _TIME_OF_DAY.search(plain) or _DOTTED_TIME.search(plain)
    if time is None:
        epoch = _EPOCH.search(plain)
        return float(epoch.group(1)) if epoch is not None else None
    before, behind = plain[:time.start()], plain[time.end():]
    half = _HALF_DAY.match(behind)
    hour = int(time.group(1))
    if half is not None:
        hour = hour % 12 + (12 if half.group(1) in 'Pp' else 0)
        behind = behind[half.end():]
    clock_time = (hour, int(time.group(2)), int(time.group(3) or 0), time.group(4) or '')
    date = _iso_date(before) or _iso_date(behind)
    if date is not None:
        known, zone = _zone(behind, clock, strict=True)
        return _seconds(*date, clock_time, zone) if known else None
    _, zone = _zone(behind, clock, strict=False)
    return _in_words(before, behind, clock_time, zone, clock)


def _plain(text: bytes) -> str:
    """Return the text composed, with the digits of every script as 0 to 9."""
    if text.isascii():
        return text.decode('ascii')
    import unicodedata  # for dates in other scripts
    said = unicodedata.normalize('NFC', text.decode('utf-8', 'replace'))
    return ''.join(str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c
                   for c in said.replace('\u200c', '').replace('\xa0', ' '))


def _iso_date(text: str) -> tuple[int, int, int] | None:
    """Return year, month and day of 2026-11-26, 2026年11月26日, 26.11.2026."""
    m = _ISO_DATE.search(text)
    if m is not None:
        return int(m.group(1)), int(m.group(3)), int(m.group(4))
    m = _DAY_FIRST.search(text)
    if m is not None:
        return int(m.group(3)), int(m.group(2)), int(m.group(1))
    return None


def _zone(behind: str, clock: Clock, strict: bool) -> tuple[bool, tzinfo | None]:
    """
    Return whether the zone behind the time is understood, and which it is.

    Abbreviations other than UTC mean different things in different countries; behind a date in
    words (not `strict`) they cannot be told from a host name.
    """
    m = _OFFSET.match(behind)
    if m is None:
        return not (strict and _OTHER_ZONE.match(behind)), clock.zone
    digits = m.group(1).replace(':', '')
    if not digits[1:].isdigit():
        return True, timezone.utc
    minutes = int(digits[1:3]) * 60 + int(digits[3:5])
    if minutes >= 24 * 60:
        return False, None
    return True, timezone(timedelta(minutes=-minutes if digits[0] == '-' else minutes))


def _in_words(before: str, behind: str, time: tuple[int, int, int, str], zone: tzinfo | None,
              clock: Clock) -> float | None:
    """Return the seconds of a date whose month is a word, in any order around the time."""
    months: list[tuple[int, ...]] = []
    numbered = NUMBERED_MONTH.search(before)
    if numbered is not None:
        months.append((int(numbered.group(1) or numbered.group(2)),))
        before = before[:numbered.start()] + ' ' + before[numbered.end():]
    words: list[str] = []
    numbers: list[int] = []
    year = None
    for token in _tokens(before[-60:]):
        if (m := _YEAR.fullmatch(token)) is not None:
            year = int(m.group(1))
        elif (m := _DAY.fullmatch(token)) is not None:
            numbers.append(int(m.group(1)))
        else:
            words.append(token)
    if year is None and (m := _YEAR.match(behind.lstrip(' ,'))) is not None:
        year = int(m.group(1))
    if not numbers:
        return None
    month_names, day_names = _numbers(MONTHS, 1), _numbers(WEEKDAYS, 0)
    months += [month_names[word] for word in words if word in month_names]
    weekdays = {day for word in words for day in day_names.get(word, ())}
    candidates = list(dict.fromkeys(month for names in months for month in names))
    return _chosen(candidates, weekdays, numbers[-1], year, time, zone, clock)


def _tokens(text: str) -> Iterator[str]:
    """Yield the words and numbers of a date, without articles and full stops."""
    for piece in _SPLIT.split(text):
        token = piece.casefold().strip(_STOPS).removeprefix('d\u2019').removeprefix("d'")
        if not token or token == 'de':
            continue
        joined = _JOINED.fullmatch(token)
        yield from (token,) if joined is None else joined.groups()


def _chosen(months: list[int], weekdays: set[int], day: int, year: int | None,
            time: tuple[int, int, int, str], zone: tzinfo | None,
            clock: Clock) -> float | None:
    """Return the only reading, or the only one that falls on the weekday that is named."""
    found = []
    for month in months:
        moment = (_without_year(month, day, time, zone, clock) if year is None
                  else _seconds(year, month, day, time, zone))
        if moment is not None:
            found.append((moment, _weekday(moment, zone) in weekdays))
    if len(found) > 1 and any(fits for _, fits in found):
        found = [entry for entry in found if entry[1]]
    return found[0][0] if len(found) == 1 else None


def _weekday(moment: float, zone: tzinfo | None) -> int:
    return datetime.fromtimestamp(moment, zone).weekday()


def _without_year(month: int, day: int, time: tuple[int, int, int, str], zone: tzinfo | None,
                  clock: Clock) -> float | None:
    """Return the latest moment that is not in the future; None without `now_s`."""
    if clock.now_s is None:
        return None
    try:
        this_year = datetime.fromtimestamp(clock.now_s, zone).year
    except (ValueError, OverflowError, OSError):
        return None
    # The zone of the writer may be a day ahead; 29 February is up to eight years back.
    for year in range(this_year + 1, this_year - 9, -1):
        found = _seconds(year, month, day, time, zone)
        if found is not None and found <= clock.now_s + _A_DAY_S:
            return found
    return None


def _seconds(year: int, month: int, day: int, time: tuple[int, int, int, str],
             zone: tzinfo | None) -> float | None:
    hour, minute, second, fraction = time
    try:
        stamp = datetime(year, month, day, hour, minute, min(second, 59),
                         tzinfo=zone).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return stamp + (float(f'0.{fraction}') if fraction else 0.0)
