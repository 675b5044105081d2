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

"""Names of nodes as ROS allows them; a peer may send anything else."""

import re

NAME_MAX = 255  # rcl: RMW_NODE_NAME_MAX_NAME_LENGTH; namespace and name together may have more
_NODE_NAME = re.compile(r'(?:/[A-Za-z_][A-Za-z0-9_]*)+\Z')


def qualified(name: str, namespace: str) -> str:
    """Return the fully qualified node name."""
    return '/' + '/'.join(part for part in (namespace.strip('/'), name) if part)


def is_node_name(name: str) -> bool:
    """Return whether this is a fully qualified node name that ROS allows."""
    return len(name) <= NAME_MAX and _NODE_NAME.match(name) is not None
