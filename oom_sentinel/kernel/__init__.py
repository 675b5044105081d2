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
The only room that opens files of /proc and /sys, sockets and other descriptors.

It reads, and it writes oom_score_adj.  Everything takes a `Root`: the live machine or a captured
tree.
"""

from oom_sentinel.kernel.chains import Chains
from oom_sentinel.kernel.host import Lookout
from oom_sentinel.kernel.host import policy
from oom_sentinel.kernel.host import surroundings
from oom_sentinel.kernel.oom_score_adj import apply
from oom_sentinel.kernel.oom_score_adj import itself
from oom_sentinel.kernel.process_files import children
from oom_sentinel.kernel.root import Root
from oom_sentinel.kernel.swap import SharedMemory
from oom_sentinel.kernel.swap import Swaps
from oom_sentinel.kernel.table import Table

__all__ = ['Chains', 'Lookout', 'Root', 'SharedMemory', 'Swaps', 'Table', 'apply', 'children',
           'itself', 'policy', 'surroundings']
