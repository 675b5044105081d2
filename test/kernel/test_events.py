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

"""Real control groups that tell of a real OOM kill and of their end."""

import os
import subprocess
import sys

from conftest import wait_for
from limited import limited_cgroup  # noqa: F401
from oom_sentinel import kernel
from oom_sentinel.kernel.wake import GROUP_EVENT
from oom_sentinel.kernel.wake import GroupEvents
from oom_sentinel.kernel.wake import Watch

HOG = 'x = []\nwhile True:\n    x.append(bytearray(b"x" * (8 << 20)))\n'


def test_an_oom_kill_wakes_and_so_does_nothing_else(cgroup):
    """Before anybody leaks it is silent; the group's removal does no harm."""
    root = kernel.Root('/')
    mount = kernel.Table(root).cgroups.mount
    path = '/' + cgroup.path.rsplit('/', 1)[1]
    watch = Watch()
    watch.start(lambda: None)
    events = GroupEvents(watch, root, mount.mount_point, mount.version)
    try:
        events.follow(frozenset(('/', path)))
        assert events.followed == 1 and watch.taken() == ()
        hog = subprocess.Popen([sys.executable, '-I', '-S', '-c', HOG],
                               preexec_fn=cgroup.join)
        wait_for(lambda: GROUP_EVENT in [w.name for w in watch.taken()], 'the OOM wakes')
        assert hog.wait(20) == -9
        cgroup.remove()
        events.follow(frozenset(('/', path)))
        assert events.followed == 0
        wait_for(lambda: watch.taken() == (), 'it is silent again')
    finally:
        events.close()
        watch.close()
        if not os.path.isdir(cgroup.path):
            os.mkdir(cgroup.path)  # for the fixture to remove
