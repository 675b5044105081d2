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
A DDS peer whose node name is not UTF-8, as a C program may have.

rclpy refuses such a name, so the name is overwritten in this process's memory before the
middleware announces its entities again.  Usage: bad_name.py SECONDS; prints `announced`.
"""

import os
import re
import sys
import time

import rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.qos import QoSProfile
from std_msgs.msg import String

MARK = b'zzplaceholderzzplaceholderzz'
BAD = b'\xff\xfe' * (len(MARK) // 2)


def overwrite():
    """Replace the mark wherever it stands in writable memory; return how often it stood."""
    times = 0
    with open('/proc/self/maps') as maps, open('/proc/self/mem', 'r+b', 0) as memory:
        for line in maps.read().splitlines():
            found = re.match(r'([0-9a-f]+)-([0-9a-f]+) rw', line)
            if found is None or '/dev/shm' in line or '[v' in line:
                continue
            start, end = int(found[1], 16), int(found[2], 16)
            try:
                memory.seek(start)
                content = memory.read(end - start)
            except OSError:
                continue
            for hit in re.finditer(MARK, content):
                memory.seek(start + hit.start())
                memory.write(BAD)
                times += 1
    return times


rclpy.init()
node = rclpy.create_node(MARK.decode())
handle = node.handle
first = node.create_publisher(String, '/one', 1)
time.sleep(1)
assert overwrite()
kept = []
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    try:  # a new entity makes the middleware announce all of them, with the name as it is now
        kept.append(rclpy_implementation.Publisher(
            handle, String, f'/topic{len(kept)}', QoSProfile(depth=1).get_c_qos_profile()))
    except Exception as error:  # its own rclpy stumbles over the name too
        kept.append(error)
    print('announced', flush=True)
    time.sleep(1)
os._exit(0)  # an orderly end would stumble as well
