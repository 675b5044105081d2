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

"""What can be set: the table of parameters, selectors, and parameter files.  Pure."""

from oom_sentinel.settings.declaration import Declaration
from oom_sentinel.settings.declaration import SettingsError
from oom_sentinel.settings.groups import Group
from oom_sentinel.settings.groups import group_declarations
from oom_sentinel.settings.groups import GROUP_PARAMETER
from oom_sentinel.settings.groups import PRESET_MATCH
from oom_sentinel.settings.groups import PRESET_OOM_SCORE_ADJ
from oom_sentinel.settings.table import build
from oom_sentinel.settings.table import declarations
from oom_sentinel.settings.table import declarations_for
from oom_sentinel.settings.table import hint
from oom_sentinel.settings.table import rebuild
from oom_sentinel.settings.table import Settings
from oom_sentinel.settings.table import unknown

__all__ = ['GROUP_PARAMETER', 'PRESET_MATCH', 'PRESET_OOM_SCORE_ADJ', 'Declaration', 'Group',
           'Settings', 'SettingsError', 'build', 'declarations', 'declarations_for',
           'group_declarations', 'hint', 'rebuild', 'unknown']
