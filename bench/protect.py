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

"""From a process's first appearance to the written value."""

import os
from statistics import median
import subprocess
import sys
import tempfile
import time

import rclpy


# A node that only the graph knows: its name is in its code, nothing on its command line.
NAMED = ('import rclpy\nrclpy.init()\nn = rclpy.create_node("bench_named")\n'
         'print(1, flush=True)\nrclpy.spin(n)\n')


def measure(runs, scan_period=2.0):
    """
    Return sorted seconds until values are written: of programs, of nodes, of nodes in the graph.

    Of a program from its start; of a node that only the graph names from its creation, and
    from when another node's graph showed it, which Fast DDS may take seconds for.
    """
    program = os.path.join(os.path.dirname(sys.executable), 'oom_sentinel_node')
    command = [program, '--ros-args', '-p', 'groups:=[bench]', '-p',
               f'scan_period:={scan_period}', '-p',
               'group.bench.match:=["exe:sleep", "node:/bench_named"]', '-p',
               'group.bench.oom_score_adj:=250']
    rclpy.init()
    observer = rclpy.create_node('bench_observer')
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, 'XDG_RUNTIME_DIR': home}
        sentinel = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=env)
        try:
            time.sleep(4)
            programs = [_program(0.7 + 0.13 * (index % 7)) for index in range(runs)]
            nodes = [_node(observer, 1.7 + 0.13 * (index % 7)) for index in range(runs)]
        finally:
            sentinel.kill()
            sentinel.wait()
            observer.destroy_node()
            rclpy.shutdown()
    return (sorted(programs), sorted(whole for whole, _ in nodes),
            sorted(whole - seen for whole, seen in nodes))


def _value(pid):
    with open(f'/proc/{pid}/oom_score_adj', 'rb', buffering=0) as stream:
        return int(stream.read(16))  # a second read would show the end of a newer value


def _program(pause):
    """Return the seconds from a program's start to its value."""
    time.sleep(pause)
    child = subprocess.Popen(['sleep', '60'])
    started = time.monotonic()
    try:
        while _value(child.pid) != 250 and time.monotonic() - started < 20:
            time.sleep(0.002)
        return time.monotonic() - started
    finally:
        child.kill()
        child.wait()


def _node(observer, pause):
    """Return the seconds from a node's creation to its value, and to its being in the graph."""
    time.sleep(pause)
    child = subprocess.Popen([sys.executable, '-c', NAMED], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
    child.stdout.readline()
    started, seen, valued = time.monotonic(), None, None
    bits = (child.pid & 0xFFFF).to_bytes(2, 'little')
    try:
        while None in (seen, valued) and time.monotonic() - started < 20:
            now = time.monotonic() - started
            if seen is None and any(bytes(info.endpoint_gid)[4:6] == bits for info in
                                    observer.get_publishers_info_by_topic('/rosout')):
                seen = now
            if valued is None and _value(child.pid) == 250:
                valued = now
            time.sleep(0.005)
        return valued or 20.0, seen or 20.0
    finally:
        child.terminate()
        child.wait()
        child.stdout.close()


def main():
    """Print the lines of the table."""
    for what, delays in zip(('new program, from its start', 'new node that only the graph '
                             'names, from its creation', 'the same, from when another node '
                             'sees it'), measure(int(os.environ.get('BENCH_RUNS', '20')))):
        print(f'{what}, to written value ({len(delays)}): median {median(delays):.3f} s, p95 '
              f'{delays[int(0.95 * (len(delays) - 1))]:.3f} s, most {delays[-1]:.3f} s')


if __name__ == '__main__':
    main()
