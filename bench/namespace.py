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

"""A PID namespace of a bench's own, so that no other process of the machine counts."""

import contextlib
import os
import random
import subprocess
import sys
import tempfile

INSIDE = 'OOM_SENTINEL_BENCH_INSIDE'


def enter(module):
    """Run this module again in a PID namespace of its own, where that is permitted."""
    if INSIDE in os.environ:
        return
    for rights in ((), ('--user', '--map-root-user')):
        wrapped = ['unshare', *rights, '--pid', '--fork', '--mount-proc', '--kill-child']
        with contextlib.suppress(OSError):
            if subprocess.run([*wrapped, 'true'], capture_output=True).returncode == 0:
                os.execvpe('unshare', [*wrapped, sys.executable, '-m', module, *sys.argv[1:]],
                           {**os.environ, INSIDE: '1'})
    print('no PID namespace of our own is permitted here: other processes count too\n')


def surroundings():
    """Give the nodes a domain and a state of their own; return their folder."""
    home = tempfile.mkdtemp(prefix='oom_sentinel_bench_')
    os.environ.update(ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST', XDG_RUNTIME_DIR=home,
                      ROS_LOG_DIR=home, ROS_HOME=home, OOM_SENTINEL_STATE=home,
                      ROS_DOMAIN_ID=str(random.randrange(60, 100)))
    return home
