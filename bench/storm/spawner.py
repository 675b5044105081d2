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

"""Start what each JSON line says: command, cgroup, stdout; the kernel reaps the children."""

import json
import os
import pathlib
import signal
import sys
import time

if __name__ == '__main__':
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        asked = json.loads(line)
        if os.fork() == 0:
            try:
                with open(f"{asked['cgroup']}/cgroup.procs", 'wb', buffering=0) as procs:
                    procs.write(b'0')
            except OSError:  # v2: another must move us, who may write in both groups
                moved = os.path.basename(asked['cgroup'])
                while moved not in pathlib.Path('/proc/self/cgroup').read_text():
                    time.sleep(0.005)
            out = os.open(asked['stdout'], os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(out, 1)
            os.execv(asked['command'][0], asked['command'])
