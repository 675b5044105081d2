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
Whom the kernel kills in a memory cgroup, against whom we said, over many real OOM kills.

Each round has a cgroup of its own with a random limit, random processes and random
oom_score_adj; one of them grows a MiB at a time.  The prediction is the last one before the kill.
"""

import os
import random
import sys
import time

from bench.confined import Confined
from oom_sentinel import kernel
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.risk import badness

KILLS = int(os.environ.get('BENCH_KILLS', '100'))
VALUES = (0, 0, 0, 0, 50, 100, 200, 300, 400, 600)


def predicted(root, cgroups, group):
    """Return whom we, the largest RSS and the largest oom_score mean; PIDs."""
    table = kernel.Table(root, cgroups=cgroups)
    pids = cgroups.members(group.path)
    inside = [p for p in table.read(scores=True) if p.pid in pids and p.memory is not None]
    page = root.host().page_size
    total = badness.cgroup_totalpages(cgroups.group(group.path), root.meminfo(), page)
    order = badness.kill_order(inside, totalpages=total, page_size=page)
    return (order[0].process.pid, max(inside, key=lambda p: p.memory.rss_bytes).pid,
            max(inside, key=lambda p: p.oom_score or 0).pid)


def round_of(seed, root, cgroups):
    """Return whether each of the three predictions was right in one kill."""
    chance = random.Random(seed)
    group = Confined('oom_bench_predict', chance.randint(100, 220))
    limit = int(cgroups.group(group.path).limit_bytes) >> 20
    try:
        for _ in range(chance.randint(3, 7)):
            group.start(chance.choice(VALUES))
        for holder in group.holders:
            share = chance.uniform(0.02, 0.8 / len(group.holders))
            if not group.tell(holder, max(1, int(share * limit) - 6)):
                return None  # over the limit before anything was said
        grower = chance.choice(group.holders)
        said = predicted(root, cgroups, group)
        while not group.dead():
            used = cgroups.group(group.path).usage_bytes >> 20
            if used > limit - 12:
                latest = predicted(root, cgroups, group)
                if cgroups.group(group.path).oom_kill:
                    break  # a victim that is dying holds nothing any more: what was said counts
                said = latest
            if not group.tell(grower, 1 if used > limit - 14 else 4):
                break
        end = time.monotonic() + 10
        while not group.dead() and time.monotonic() < end:
            time.sleep(0.01)
        dead = {holder.pid for holder in group.dead()}
        return tuple(pid in dead for pid in said) if len(dead) == 1 else None
    finally:
        group.end()


def measure(kills=KILLS, seed=20260101):
    """Return (kills, right by badness, right by largest RSS, right by largest oom_score)."""
    root = kernel.Root('/')
    cgroups = MemoryCgroups(root)
    results, tries = [], 0
    while len(results) < kills and tries < 2 * kills:
        found = round_of(seed + tries, root, cgroups)
        tries += 1
        if found is not None:
            results.append(found)
        if found is not None and not found[0]:
            print(f'round {seed + tries - 1}: another one died', file=sys.stderr)
    return (len(results), *(sum(column) for column in zip(*results)))


def main():
    """Print the table."""
    count, ours, rss, score = measure()
    print('| first victim foretold by | right |\n|---|---|')
    print(f'| badness with the totalpages of the cgroup | {ours} of {count} |')
    print(f'| largest RSS | {rss} of {count} |')
    print(f'| largest /proc/PID/oom_score | {score} of {count} |')


if __name__ == '__main__':
    main()
