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

"""One rule for everything that is done again after a while."""

NEVER_S = float('-inf')  # the time of what was never done


def due(now_s: float, last_s: float, period_s: float) -> bool:
    """
    Return whether something that was last done at `last_s` is due again.

    :param period_s: seconds between two times; a clock that went back makes it due as well.
    """
    return not 0 <= now_s - last_s < period_s
