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
What a launch file uses: protection of the whole launch, and values for a scope of it.

A door to launch and launch_ros.  The two actions are imported when they are first asked for:
what else stands in this room works without launch, and the package is loaded into every launch
on a machine where it is installed.
"""

import importlib

_HOMES = {'ProtectLaunch': 'protect_launch', 'SetOomScoreAdj': 'set_oom_score_adj'}

__all__ = ['ProtectLaunch', 'SetOomScoreAdj']


def __getattr__(name: str) -> object:
    """Import an action when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_HOMES[name]}'), name)
