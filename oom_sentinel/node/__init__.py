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

"""The ROS door: translates between rclpy and the sentinel, and nothing else."""

import importlib
import sys

NEEDED = ('rclpy', 'diagnostic_msgs', 'rcl_interfaces', 'std_msgs', 'std_srvs', 'psutil')
MISSING = 2
INTERRUPTED = 130  # as a shell says it: 128 and SIGINT
# What writes Python modules from .msg files, with lark and empy.  Loading the first type support
# imports it, and since 2016 does without where it cannot be imported.
GENERATOR = 'rosidl_generator_py.generate_py_impl'

__all__ = ['main']


def leave_out_generator() -> None:
    """Let importing rosidl's code generator fail in this process: 7 MB that no node needs."""
    sys.modules.setdefault(GENERATOR, None)  # type: ignore[arg-type]


def main() -> int:
    """Run the node and return its exit code: 2 without ROS, 130 when it is interrupted early."""
    leave_out_generator()
    try:
        program = importlib.import_module('oom_sentinel.node.program')
    except ModuleNotFoundError as error:
        missing = (error.name or '').partition('.')[0]
        if missing not in NEEDED:
            raise
        print(f'oom_sentinel_node needs ROS 2, and the Python module {missing} is missing: '
              'source /opt/ros/DISTRO/setup.bash, or use `make run` of the sources; the command '
              'oom_sentinel works without ROS', file=sys.stderr)
        return MISSING
    except KeyboardInterrupt:
        return INTERRUPTED
    code: int = program.main()
    return code
