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
Whom a kill hit: known processes remembered beyond their death, and kills nobody logged.

Pure: the register is fed with scans, the tally with counters; time arrives as an argument.
"""

from oom_sentinel.kills.counters import Counters
from oom_sentinel.kills.counters import counters
from oom_sentinel.kills.counters import Tally
from oom_sentinel.kills.infer import infer
from oom_sentinel.kills.known_processes import Register

__all__ = ['Counters', 'Register', 'Tally', 'counters', 'infer']
