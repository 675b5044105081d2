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
Every list of program names that the package knows.

A name is the program's base name (`Program.executable` or `Program.comm`), never a path.
"""

OWN_NODE = 'oom_sentinel_node'
OWN = frozenset((OWN_NODE, 'oom_sentinel'))

SHELLS = frozenset(('sh', 'bash', 'dash', 'zsh', 'fish', 'ksh', 'tcsh', 'busybox'))
EDITORS = frozenset(('vi', 'vim', 'nvim', 'nano', 'emacs', 'code', 'gedit', 'kate'))
DEBUGGERS = frozenset(('gdb', 'gdbserver', 'lldb', 'strace', 'ltrace', 'perf', 'valgrind',
                       'heaptrack'))
TOOLS = frozenset((
    'sudo', 'su', 'env', 'less', 'more', 'tail', 'grep', 'rg', 'watch', 'tmux', 'screen', 'ssh',
    'docker', 'man', 'cat', 'pgrep', 'pkill', 'timeout', 'script', 'xterm', 'journalctl', 'git',
    'find', 'xargs'))

# Programs whose command line often carries the name of another program: a `cmd:` selector
# never matches them.
BYSTANDERS = SHELLS | EDITORS | DEBUGGERS | TOOLS | OWN

# Programs that may carry --ros-args for another program and are not ROS themselves.
MENTION_ROS_ARGS = (BYSTANDERS - OWN) | {'ros2'}

# Programs that run a script; the script's name then says more.  A version may follow the name.
INTERPRETERS = ('python', 'pypy', 'perl', 'ruby', 'node', 'lua')

# Infrastructure that every node depends on: it is never raised.
INFRASTRUCTURE = OWN | {'rmw_zenohd', 'micro_ros_agent'}
# `fastdds discovery` is a Python script (tools/fastdds/fastdds.py) that waits for this program;
# a version follows the name.
DISCOVERY_SERVER = 'fast-discovery-server'

# A component container holds several nodes, whose names are on no command line; the executor's
# name follows (component_container_mt, component_container_isolated).
COMPONENT_CONTAINER = 'component_container'

# Programs that end processes before the kernel does.
NEIGHBOURS = ('earlyoom', 'nohang', 'systemd-oomd')
