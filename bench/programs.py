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

"""Where the programs of this package are: in colcon's prefix, else beside the interpreter."""

import os
import sys


def program(name='oom_sentinel_node'):
    """Return the path of one of our programs."""
    prefixes = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    found = [os.path.join(prefix, 'lib', 'oom_sentinel', name) for prefix in prefixes]
    beside = os.path.join(os.path.dirname(sys.executable), name)
    return next((path for path in found if os.path.exists(path)), beside)
