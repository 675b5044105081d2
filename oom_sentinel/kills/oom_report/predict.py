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
Whom the kernel would have chosen by the report's own task table, and why it may differ.

Badness is that of the `badness` room; the rules of old kernels (a floor of 1 before 5.9, 3 percent
for root before 4.17) are added here.  What the log leaves open (the machine's swap in the report
of a control group) is carried as bounds: a task that wins at both wins between them, because every
task's badness is a line over totalpages.
"""

from math import gcd

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.kill import OomTask
from oom_sentinel.kills.oom_report.draft import Draft
from oom_sentinel.kills.oom_report.message import Killed
from oom_sentinel.kills.oom_report.scene import Scene
from oom_sentinel.kills.oom_report.scene import Usage
from oom_sentinel.kills.oom_report.table import Row
from oom_sentinel.kills.oom_report.table import table_pages
from oom_sentinel.risk import badness

UNLIMITED_KB = 1 << 52
_FAR = 1 << 50
PAGE_SIZES = tuple(1 << bits for bits in range(12, 18))


@frozen
class Rules:
    """What differs between kernels: the floor of 1, and root's bonus ('', 'adj', 'usage')."""

    floor: bool
    bonus: str = ''


def rules_of(kernel: tuple[int, int] | None, kernel_format: str | None,
             columns: tuple[str, ...]) -> tuple[Rules, ...]:
    """
    Return the rules that may have held, the likeliest first.

    Whether a root process had CAP_SYS_ADMIN, which is what earns the bonus, no log says, and
    vendors (EL8's 4.18) take over what is newer.
    Source: oom_badness() of 3.10 (adj), 3.14 (usage), 4.17 (none), 5.9 (no floor).
    """
    if kernel is not None and not (kernel < (5, 0) and kernel_format in ('5.1', '5.4')):
        if kernel >= (5, 9):
            return (Rules(False),)
        if kernel >= (4, 17):
            return (Rules(True), Rules(False))
        if kernel >= (3, 14):
            return (Rules(True, 'usage'), Rules(True))
        return (Rules(True, 'adj'), Rules(True, 'usage'), Rules(True))
    if kernel_format == '5.4':
        return (Rules(False), Rules(True))
    if kernel_format == '5.1':
        return (Rules(True),)
    if 'pgtables_bytes' in columns:
        return (Rules(True), Rules(True, 'usage'))
    return (Rules(True, 'usage'), Rules(True, 'adj'), Rules(True))


def page_size_of(total_vm_bytes: int | None, victim: OomTask | None,
                 tasks: tuple[OomTask, ...], scene: Scene) -> int | None:
    """
    Return the page size: the victim's total-vm by its pages, else Mem-Info's kB by its pages.

    A process may grow between table and kill, so the nearest power of two within 2 percent.
    A victim that is not in the table leaves its page tables: they are no multiple of larger pages.
    """
    candidates = []
    if total_vm_bytes and victim is not None and victim.total_vm_pages:
        candidates.append(total_vm_bytes / victim.total_vm_pages)
    if scene.ram_pages and scene.present_kb:
        candidates.append(sum(scene.present_kb.values()) * 1024 / scene.ram_pages)
    for ratio in candidates:
        for size in PAGE_SIZES:
            if abs(ratio - size) <= 0.02 * size:
                return size
    common = gcd(*(task.page_table_bytes or 0 for task in tasks))
    return PAGE_SIZES[0] if common % (4 * PAGE_SIZES[0]) else None


def totalpages_of(scene: Scene, tasks: tuple[OomTask, ...],
                  page_size: int | None) -> tuple[int, int] | None:
    """Return the least and the most that totalpages can have been, None when unknown."""
    if page_size is None:
        return None
    if scene.memcg:
        return _of_memcg(scene.usages, tasks, page_size)
    if scene.ram_pages is None or scene.swap_kb is None:
        return None
    ram = scene.ram_pages - scene.reserved_pages
    if scene.constraint in ('CONSTRAINT_CPUSET', 'CONSTRAINT_MEMORY_POLICY') and scene.nodes:
        kept = [kb for node, kb in scene.present_kb.items() if node in scene.nodes]
        ram = sum(kept) * 1024 // page_size if kept else ram
    total = ram + scene.swap_kb * 1024 // page_size
    return (total, total) if total > 0 else None


def _of_memcg(usages: dict[bytes, Usage], tasks: tuple[OomTask, ...],
              page_size: int) -> tuple[int, int] | None:
    """
    Return the bounds of mem_cgroup_get_max().

    It is the limit and what may be swapped: never more than the memsw (v1) or swap (v2) limit,
    nor than the machine's swap, which the report does not show.  Where nothing is swapped there
    is no swap, or swappiness forbids it: then the kernel does not count it either.
    """
    memory = usages.get(b'memory')
    if memory is None or memory.limit_kb >= UNLIMITED_KB:
        return None
    memsw, swap = usages.get(b'memory+swap'), usages.get(b'swap')
    used = most = 0
    if memsw is not None:
        used = max(0, memsw.usage_kb - memory.usage_kb)
        most = max(0, memsw.limit_kb - memory.limit_kb)
        if memsw.limit_kb >= UNLIMITED_KB:
            most = _FAR
    elif swap is not None:
        used = swap.usage_kb
        most = _FAR if swap.limit_kb >= UNLIMITED_KB else swap.limit_kb
    if used == 0 and not any(task.swap_entries for task in tasks):
        most = 0
    least = memory.limit_kb + min(used, most)
    return (max(1, least * 1024 // page_size),
            max(1, (memory.limit_kb + most) * 1024 // page_size))


def held(task: OomTask, page_table_pages: int | None) -> int | None:
    """Return the pages that a task holds in the kernel's sum, None when the table lacks them."""
    if task.rss_pages is None or task.swap_entries is None or page_table_pages is None:
        return None
    return task.rss_pages + task.swap_entries + page_table_pages


@frozen
class Rated:
    """A task of the table and the pages it holds."""

    task: OomTask
    pages: int

    def badness(self, totalpages: int, rules: Rules) -> int | None:
        """Return the badness in pages, None when never chosen."""
        adj = self.task.oom_score_adj or 0
        pages = self.pages
        if self.task.uid == 0 and adj != badness.OOM_SCORE_ADJ_MIN:
            if rules.bonus == 'adj':
                adj -= 30
            elif rules.bonus == 'usage':
                pages -= pages * 3 // 100
        if self.task.oom_score_adj == badness.OOM_SCORE_ADJ_MIN or self.task.pid == 1:
            return None
        points = badness.points(pages, 0, 0, adj, totalpages=totalpages, page_size=1) \
            if adj != badness.OOM_SCORE_ADJ_MIN else pages + adj * (totalpages // 1000)
        return max(1, points) if rules.floor and points is not None else points


def choose(rated: tuple[Rated, ...], totalpages: int, rules: Rules,
           target: int) -> int | None:
    """
    Return the PID with the most badness, None when nobody can be chosen.

    Among equals the later in the table (select_bad_process() since 5.9 scans in its order);
    before, the order of the scan is not that of the table, and the target counts as later.
    """
    best = winner = None
    for entry in rated:
        points = entry.badness(totalpages, rules)
        if points is None:
            continue
        if best is None or points > best or (
                points == best and (not rules.floor or entry.task.pid == target)):
            best, winner = points, entry.task.pid
    return winner


def predict(rated: tuple[Rated, ...], bounds: tuple[int, int] | None,
            alternatives: tuple[Rules, ...], target: int) -> tuple[int | None, str | None]:
    """Return the PID that the table predicts, or None and why it cannot be told."""
    if bounds is None:
        if any(entry.task.oom_score_adj not in (0, badness.OOM_SCORE_ADJ_MIN)
               for entry in rated):
            return None, 'the log does not hold the size of the memory that was short'
        bounds = (1, 1)
    first = None
    for rules in alternatives:
        low = choose(rated, bounds[0], rules, target)
        high = choose(rated, bounds[1], rules, target)
        if low != high:
            return None, "the log does not hold the machine's swap, which decides here"
        if low == target:
            return low, None
        first = low if first is None else first
    return first, None if first is not None else 'no task of the table can be chosen'


def verdict(draft: Draft, killed: Killed, tasks: tuple[OomTask, ...],
            rows: list[tuple[Row, dict[str, int]]], columns: tuple[str, ...],
            page_size: int | None,
            bounds: tuple[int, int] | None) -> tuple[int | None, str | None]:
    """Return the PID that the table predicts, and why the kernel's choice is another."""
    chosen = draft.choice.pid if draft.choice is not None else killed.pid
    if not rows and chosen != killed.pid:
        return None, _child(chosen, killed.pid)
    if not rows:
        return None, 'the log holds no task table (rate-limited, cut, or vm.oom_dump_tasks=0)'
    if draft.columns is None:
        return None, 'the head of the task table is cut off'
    if draft.cut:
        return None, 'the task table has more rows than are kept'
    rated = []
    for task, (_, named) in zip(tasks, rows):
        pages = table_pages(named)
        if pages is None and task.page_table_bytes is not None and page_size is not None:
            pages = task.page_table_bytes // page_size
        pages = held(task, pages)
        if pages is None:
            return None, ('the page size is unknown' if page_size is None else
                          'the task table of this kernel lacks swap or page tables')
        if task.pid not in draft.dead:
            rated.append(Rated(task, pages))
    rules = rules_of(draft.scene.kernel, killed.kernel_format, columns)
    predicted, why = predict(tuple(rated), bounds, rules, chosen)
    if predicted == killed.pid:
        return predicted, None
    if predicted is not None and predicted == chosen:
        return predicted, _child(chosen, killed.pid)
    return predicted, why or _why(draft, killed, chosen, predicted, rated)


def _child(chosen: int, victim: int) -> str:
    return f'PID {chosen} was chosen and its child {victim} sacrificed (kernels before 5.1)'


def _why(draft: Draft, killed: Killed, chosen: int, predicted: int | None,
         rated: list[Rated]) -> str:
    """Return why the kernel chose another than the table's worst."""
    said = killed.message or (draft.choice.message if draft.choice is not None else b'')
    if b'oom_kill_allocating_task' in said:
        return 'vm.oom_kill_allocating_task kills the task that asked for memory'
    if said.startswith(b'No available memory'):
        return 'the task that asked was bound to memory nodes and is killed itself'
    constraint = draft.parsed_summary().constraint
    if constraint in ('CONSTRAINT_CPUSET', 'CONSTRAINT_MEMORY_POLICY'):
        return f'{constraint}: only tasks that may use the short memory nodes are candidates'
    if not any(entry.task.pid == chosen for entry in rated):
        return f'PID {chosen} is not in the task table'
    return (f'PID {predicted} has more badness in the table; it may have been exiting, '
            'already reaped, or in vfork, or grown after the choice')
