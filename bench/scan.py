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

"""One full scan of the process table, beside psutil.process_iter doing the same."""

import time

from bench.crowd import crowd
from oom_sentinel import kernel
import psutil

FIELDS = ['name', 'memory_info', 'cmdline', 'create_time', 'ppid', 'uids', 'status']


def measure(runs, counts=(100, 500, 2000)):
    """Return rows (processes, our full us each, our idle us each, psutil us each, total ms)."""
    rows = []
    for count in counts:
        with crowd(count):
            table = kernel.Table(kernel.Root('/'))
            table.read(0.0)
            full, idle, peer = [], [], []
            for _ in range(runs):
                started = time.perf_counter()
                found = len(table.read(100.0))
                full.append(time.perf_counter() - started)
                started = time.perf_counter()
                table.read(100.0, everything=False)
                idle.append(time.perf_counter() - started)
                started = time.perf_counter()
                seen = sum(1 for _ in psutil.process_iter(FIELDS))
                peer.append((time.perf_counter() - started) * found / seen)
            rows.append((found, *(sorted(x)[runs // 2] for x in (full, idle, peer))))
    return rows
