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

"""Calls of the C library that Python has no function for."""

import os
import subprocess
import sys


FREED = """
import threading
from oom_sentinel.kernel.libc import keep_little_memory
KEEP
def hold():
    for _ in range(3):
        len(b'x' * (28 << 20))
thread = threading.Thread(target=hold)
thread.start()
thread.join()
with open('/proc/self/statm', encoding='ascii') as stream:
    print(int(stream.read().split()[1]))
"""


def test_what_a_large_request_took_is_given_back_when_it_is_freed():
    """By any thread; glibc would keep a block as large as the largest before."""
    def resident_bytes(code):
        found = subprocess.run([sys.executable, '-c', code], capture_output=True, check=True)
        return int(found.stdout) * os.sysconf('SC_PAGE_SIZE')
    kept = resident_bytes(FREED.replace('KEEP', ''))
    less = resident_bytes(FREED.replace('KEEP', 'keep_little_memory()'))
    assert less < kept - (14 << 20)
