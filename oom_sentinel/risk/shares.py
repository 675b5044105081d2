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
The level of a forecast: which share of what was left must be gone before it is believed.

Healthy jobs take memory at an even pace too, and give it back.  Until they do, the share that is
gone is what tells them from a leak: the less is known of the end, and the farther away it is,
the more of it must be gone.
"""

from oom_sentinel.facts.status import Level
from oom_sentinel.risk.exhaustion import Forecast
from oom_sentinel.settings import Settings

# One reading among oscillating ones may look like a fall; two in a row do not.
CONFIRMED_S = 1.0
AT_ONCE_S = 10.0  # an end that is nearer waits for no second reading
# Less than WARN_SHARE is taken by healthy jobs every day; FAR_SHARE for an end that is
# exhaustion.warn_s away.
WARN_SHARE, FAR_SHARE, FAR_POWER = 0.38, 0.85, 3.5
# An even fall can wait until nearly half of it is over, or until a third of exhaustion.warn_s is
# left: most jobs have ended by then.
EVEN, EVEN_EARLIER, EVEN_LEFT = 1.5, 0.1, 1 / 3
# On a machine what would empty it within QUICK_S is rather a program that loads: it needs up to
# so much more, the whole of it QUICK_WITHIN_S below that.
QUICK_S, QUICK_WITHIN_S, QUICK_MORE = 24.0, 12.0, 0.9
ERROR_SHARE = 0.72
# Times these shares, when the fall becomes faster and the end is nearer than this part of
# exhaustion.warn_s: a job slows down.  One that does become slower needs more.
GAINING_WARN, GAINING_ERROR, GAINING_NEAR = 0.32, 0.75, 0.5
GAINING_AFTER_S = 5.0  # a shorter window does not say it
CLEAR, VAGUE = 6.5, 3.0  # latest to likeliest end: a wider range does not say it either;
# where it is vague, a level does not rise while the fall pauses
QUICKER_SHARE = 0.5  # instead, when it is only faster than it was
SLOWING = 2.2
MOST_SHARE = 0.97
PRESSED_SHARE = 0.7  # is enough where tasks wait or pages are read again
STAYS = 0.8  # a level that is there stays until these conditions are missed by so much


def level(told: Forecast, lasts_s: float, last: Level, pressed: bool, machine: bool,
          settings: Settings) -> Level:
    """
    Return the level of a forecast; it falls later than it rises.

    :param lasts_s: for how many seconds an end has been told.
    :param pressed: tasks wait for memory here, or pages are read again.
    :param machine: the place is the machine, and no control group.
    """
    if lasts_s < CONFIRMED_S and told.middle_s >= AT_ONCE_S:
        return Level.OK
    if last == Level.OK and told.pausing and told.high_s > VAGUE * told.middle_s:
        return Level.OK
    warn, error = (STAYS if last >= level else 1.0 for level in (Level.WARN, Level.ERROR))
    warn_s, ease = settings.exhaustion_warn_s, PRESSED_SHARE if pressed else 1.0
    faster = _faster_share(told, warn, warn_s)
    if told.middle_s * warn >= warn_s \
            or told.lost_share < _share(told, faster, machine, warn_s) * ease * warn:
        return Level.OK
    near = (told.middle_s * error < settings.exhaustion_error_s and told.lost_share
            >= ERROR_SHARE * (GAINING_ERROR if faster < 1.0 else 1.0) * ease * error)
    return Level.ERROR if near else Level.WARN


def _faster_share(told: Forecast, stays: float, warn_s: float) -> float:
    """Return which part of the share is enough, because a fall that ends soon became faster."""
    if told.middle_s * stays >= GAINING_NEAR * warn_s:
        return 1.0
    if told.gaining and told.high_s <= CLEAR * told.middle_s and told.span_s > GAINING_AFTER_S:
        return GAINING_WARN
    return QUICKER_SHARE if told.quicker else 1.0


def _share(told: Forecast, faster: float, machine: bool, warn_s: float) -> float:
    """Return which share of what was left must be gone for a WARN."""
    far: float = min(1.0, told.middle_s / warn_s) ** FAR_POWER
    share = WARN_SHARE + (FAR_SHARE - WARN_SHARE) * far
    whole_s = told.middle_s / max(1e-3, 1.0 - told.lost_share)  # of an even fall
    if faster == 1.0 and told.high_s < EVEN * told.middle_s:
        due = max(0.5, 1.0 - EVEN_LEFT * warn_s / max(1e-9, whole_s))
        share = max(share, due - EVEN_EARLIER)
    share *= faster * (SLOWING if told.slowing else 1.0)
    if machine and whole_s < QUICK_S:
        share *= 1.0 + QUICK_MORE * min(1.0, (QUICK_S - whole_s) / QUICK_WITHIN_S)
    return min(MOST_SHARE, share)
