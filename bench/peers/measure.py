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

"""Start all peers, and measure CPU, wake-ups and memory of each over the same seconds."""

import contextlib
from dataclasses import dataclass
import os
import signal
from statistics import median
import subprocess
import tempfile
import time

from bench.crowd import cpu_s
from bench.crowd import rss_mib
from bench.crowd import sleeps

APART_SETTLE_S = 5.0
TICKS = os.sysconf('SC_CLK_TCK')


@dataclass(frozen=True, slots=True)
class Cost:
    """Percent of one core, wake-ups a second, resident and proportional MiB."""

    cpu_percent: float
    wakes: float
    rss_mib: float
    pss_mib: float | None


def pss_mib(pid):
    """Return the proportional MiB of a process, None where the kernel does not say it."""
    try:
        with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as stream:
            return next(int(line.split()[1]) / 1024 for line in stream
                        if line.startswith('Pss:'))
    except (OSError, StopIteration):
        return None


def children_s(pid):
    """Return the CPU seconds of the children that a process has waited for."""
    with open(f'/proc/{pid}/stat', encoding='utf-8') as stream:
        fields = stream.read().rsplit(')', 1)[1].split()
    return sum(map(int, fields[13:15])) / TICKS


def busy_s():
    """Return the seconds that all cores of the machine were busy since boot."""
    with open('/proc/stat', encoding='ascii') as stream:
        user, nice, system, _, _, irq, soft, steal = map(int, stream.readline().split()[1:9])
    return (user + nice + system + irq + soft + steal) / TICKS


def _used_s(pid):
    return cpu_s(pid) + children_s(pid)


def _once(pids, seconds):
    """Return each peer's cost and the percent of one core that everybody else used."""
    before = {name: (_used_s(pid), sleeps(pid)) for name, pid in pids.items()}
    others, began_s = busy_s(), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began_s
    others = busy_s() - others
    costs = {}
    for name, pid in pids.items():
        used, woken = _used_s(pid) - before[name][0], sleeps(pid) - before[name][1]
        others -= used
        costs[name] = Cost(100 * used / passed, woken / passed, rss_mib(pid), pss_mib(pid))
    return costs, 100 * others / passed


def _middle(costs):
    """Return the medians of several costs of one peer."""
    pss = [cost.pss_mib for cost in costs if cost.pss_mib is not None]
    return Cost(median(c.cpu_percent for c in costs), median(c.wakes for c in costs),
                median(c.rss_mib for c in costs), median(pss) if pss else None)


@contextlib.contextmanager
def running(peers, settle_s):
    """Run the peers; yield the PIDs of those that stay, and why the others did not."""
    children, why = {}, {}
    with contextlib.ExitStack() as stack:
        for peer in peers:
            if peer.missing:
                why[peer.name] = peer.missing
                continue
            said = stack.enter_context(tempfile.TemporaryFile('w+', errors='replace'))
            child = subprocess.Popen(peer.command, stdin=subprocess.DEVNULL, stderr=said,
                                     stdout=subprocess.DEVNULL, start_new_session=True)
            stack.callback(_end, child)
            children[peer.name] = child, said
        time.sleep(settle_s)
        for name, (child, said) in children.items():
            if child.poll() is not None:
                said.seek(0)
                last = (said.read().strip().splitlines() or ['no reason given'])[-1]
                why[name] = f'ended with {child.returncode}: {last}'
        yield {name: child.pid for name, (child, _) in children.items() if name not in why}, why


def _end(child):
    """Kill a peer with its children; one that ended by itself is reaped only."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def measure(peers, settle_s, seconds, runs):
    """
    Return the median cost of each peer, why some did not run, and the others' percents.

    One that starts processes is measured after the rest: what it starts is work for them.
    """
    costs, why, others = {}, {}, []
    for apart, rest_s in ((False, settle_s), (True, APART_SETTLE_S)):
        with running([p for p in peers if p.apart == apart], rest_s) as (pids, missing):
            found = [_once(pids, seconds) for _ in range(runs)]
        costs |= {name: _middle([run[name] for run, _ in found]) for name in pids}
        why |= missing
        others += [percent for _, percent in found]
    return costs, why, others
