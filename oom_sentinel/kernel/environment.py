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

"""What this process's own environment says of ROS."""

import os


def ros_prefixes() -> tuple[str, ...]:
    """Return the prefixes that hold ROS packages, from AMENT_PREFIX_PATH."""
    return tuple(p.rstrip('/') for p in os.environ.get('AMENT_PREFIX_PATH', '').split(':') if p)


def own_domain_id() -> int:
    """Return this process's ROS_DOMAIN_ID, 0 when unset."""
    value = os.environ.get('ROS_DOMAIN_ID', '').strip()
    return int(value) if value.isdigit() else 0
