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

"""The end of memory is foretold also where swap lies in memory itself; more: bench.policies."""

import os

from bench import policies
from machine import LONG
import pytest

PACE = 20.0  # MiB/s


@LONG
@pytest.mark.skipif(not os.path.exists(policies.ZRAM), reason='the guest has no zram')
def test_with_zram_the_end_is_foretold():
    """128 MiB of swap are worth what compression saves: here a half."""
    end_s, killed, said, found = policies.told(lambda: policies.zram(128), pace=PACE)
    print(end_s, said, found)
    assert killed and 'zram' in found and 'no_swap' not in found
    warned = [(at_s, forecast) for at_s, level, forecast in said if level != 'OK']
    assert end_s - warned[0][0] > 10, 'warned in time'
    at_s, forecast = warned[0]  # the machine stalls for 8 of the 40 s before the kernel kills
    assert 0.5 < float(forecast.split()[0]) / (end_s - at_s) < 1.5, forecast
