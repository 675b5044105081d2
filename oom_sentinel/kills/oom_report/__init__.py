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
The kernel's log to OOM kills: `Parser` takes lines, `Stream` takes blocks of bytes.

Pure: it reads no file and no clock.  Arbitrary bytes never raise and never hang.
"""

from oom_sentinel.kills.oom_report.parser import Parser
from oom_sentinel.kills.oom_report.stream import first_time
from oom_sentinel.kills.oom_report.stream import Stream

__all__ = ['Parser', 'Stream', 'first_time']
