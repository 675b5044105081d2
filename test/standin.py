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

"""A stand-in for a robot's node: holds memory, leaks once its go file appears."""

import os
import sys
import time

MIB = 1 << 20


def main():
    """Take MiB to hold, MiB/s to leak, and the file to wait for (- for none)."""
    mib, leak, go = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    held = [bytearray(os.urandom(4096)) * (256 * mib)] if mib else []
    print('ready', flush=True)
    while go != '-' and not os.path.exists(go):
        time.sleep(0.01)
    while True:
        if leak:
            # One call for many pages: a loop would wait for its own code to be read again.
            step = max(1, int(leak / 25))
            held.append(b'x' * (step * MIB))
            time.sleep(step / leak)
        else:
            time.sleep(0.2)


main()
