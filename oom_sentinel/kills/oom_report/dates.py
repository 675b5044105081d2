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
Dates of log lines, to seconds since the epoch; a date that is none is None.

A date without a year is the latest that is not in the future, one without an offset is in the
reader's zone.  Month names are those of glibc's locales (dmesg -T follows LC_TIME).
"""

from datetime import datetime
from datetime import timedelta
from datetime import timezone
from datetime import tzinfo

from oom_sentinel.kills.oom_report.record import Clock

MONTHS = """
jan ene gen ian janv jän led oca sty tammi ιαν січ янв яну 1月 1월 一月
feb febr fev fév févr helmi lut úno şub φεβ лют фев 2月 2월 二月
mar mars març mrt márc mär bře maalis μάρ μαρ бер мар 3月 3월 三月
apr abr april avr avril dub huhti kwi nis ápr απρ апр кві 4月 4월 四月
may mag mai maig maj mei máj kvě touko μάι μαΐ май мая тра 5月 5월 五月
jun juin juni juny jún cze giu haz iun kesä čen ιουν ιούν июн чер юни 6月 6월 六月
jul jui juil juli júl heinä iul lip lug tem čec ιουλ ιούλ июл лип юли 7月 7월 七月
aug ag ago aoû août avg ağu elo sie srp αυγ αύγ авг сер 8月 8월 八月
sep sept set syys szept eyl wrz zář σεπ вер сен сеп 9月 9월 九月
oct eki loka okt ott out paź říj οκτ жов окт 10月 10월 十月
nov kas lis marras νοέ νοε лис ное ноя 11月 11월 十一月
dec ara des dez dic déc gru joulu pro δεκ гру дек 12月 12월 十二月
"""
_MONTH = {name: number
          for number, names in enumerate(MONTHS.strip().splitlines(), 1)
          for name in names.split()}
_ARTICLES = ('de ', 'd’')
_A_DAY_S = 86400.0


def month(name: bytes) -> int | None:
    """Return 1..12 for an abbreviated month of many languages, None for any other word."""
    word = name.decode('utf-8', 'replace').casefold().strip().rstrip('.')
    for article in _ARTICLES:
        word = word.removeprefix(article)
    if word.startswith('thg ') and word[4:].isascii() and word[4:].isdigit():
        number = int(word[4:6])
        return number if 1 <= number <= 12 else None
    return _MONTH.get(word)


def _seconds(year: int, month_of: int, day: int, clock_words: bytes,
             zone: tzinfo | None) -> float | None:
    hour, minute, rest = (clock_words + b':0')[:32].split(b':')[:3]
    second, _, fraction = rest.replace(b',', b'.').partition(b'.')
    try:
        stamp = datetime(year, month_of, day, int(hour), int(minute), min(int(second), 59),
                         tzinfo=zone).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return stamp + (float(b'0.' + fraction) if fraction.isdigit() else 0.0)


def with_year(year: bytes, name: bytes, day: bytes, time_words: bytes,
              clock: Clock) -> float | None:
    """Return the seconds of dmesg -T's `Nov 26 08:30:48 2026`."""
    number = month(name)
    if number is None:
        return None
    return _seconds(int(year), number, int(day), time_words, clock.zone)


def without_year(name: bytes, day: bytes, time_words: bytes, clock: Clock) -> float | None:
    """Return the seconds of RFC 3164's `Nov 26 08:30:48`; None without `now_s`."""
    number = month(name)
    if number is None or clock.now_s is None:
        return None
    try:
        this_year = datetime.fromtimestamp(clock.now_s, clock.zone).year
    except (ValueError, OverflowError, OSError):
        return None
    # The zone of the writer may be a day ahead; 29 February is up to eight years back.
    for year in range(this_year + 1, this_year - 9, -1):
        found = _seconds(year, number, int(day), time_words, clock.zone)
        if found is not None and found <= clock.now_s + _A_DAY_S:
            return found
    return None


def iso(date: bytes, time_words: bytes, offset: bytes, clock: Clock) -> float | None:
    """
    Return the seconds of `2026-11-26`, `08:30:48.123456` and `Z`, `+01:00`, `+0100` or b''.

    Another zone's abbreviation (journalctl -o short-full) means different things: None.
    """
    zone: tzinfo | None = clock.zone
    digits = offset.replace(b':', b'')
    if offset in (b'Z', b'z', b'UTC', b'GMT'):
        zone = timezone.utc
    elif len(digits) == 5 and digits[1:].isdigit():
        minutes = int(digits[1:3]) * 60 + int(digits[3:5])
        if minutes >= 24 * 60:
            return None
        zone = timezone(timedelta(minutes=-minutes if digits[:1] == b'-' else minutes))
    elif offset:
        return None
    return _seconds(int(date[:4]), int(date[5:7]), int(date[8:10]), time_words, zone)
