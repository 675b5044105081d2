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

"""What is written down of a kill: a folder with the report, the log, the past and the order."""

from oom_sentinel.incident.folder import expanded
from oom_sentinel.incident.history import History
from oom_sentinel.incident.incident import Incident
from oom_sentinel.incident.writer import Writer

__all__ = ['History', 'Incident', 'Writer', 'expanded']
