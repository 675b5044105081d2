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

"""Leak suspects: what never comes to rest is named, whatever else a robot does is not."""

from dataclasses import replace
import math

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import risk
from oom_sentinel import settings
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import floors
from oom_sentinel.risk import leaks
import pytest

MIB = 1 << 20
SETTINGS = settings.build({})
OFF = Unavailable('off')
MEMINFO = MemInfo(4 << 30, 1 << 30, 2 << 30)


def node(pid, mib, name='driver', file_mib=0):
    """Return a ROS node that holds MiB."""
    return Process(pid, pid, 1, 0, Program(name, executable=name, ros=True), oom_score_adj=0,
                   memory=TaskMemory(int((mib + file_mib) * MIB), 0, 0, int(file_mib * MIB)))


def watched(minutes, *mib_at, every_s=10):
    """Return the assessment after these nodes held mib_at(seconds)."""
    history, found = risk.History(), None
    for at in range(0, int(minutes * 60), every_s):
        nodes = tuple(node(10 + i, held(at), f'node{i}') for i, held in enumerate(mib_at))
        found, history = risk.assess(
            Sample(float(at), at, Host('robot', 4096, '6.1.0'), meminfo=MEMINFO,
                   pressure=OFF, vmstat=VmStat(0), processes=nodes),
            history, SETTINGS, Protection(targets=(
                Target(nodes[0], 'drivers', -300, -300, ''),)))
    return found


def cycles(seconds):
    """Return a node that allocates and frees 200 MiB in cycles."""
    return lambda s: 80 + 200 * ((s / seconds) % 1.0)


@pytest.mark.parametrize('period_s', [7, 45, 61, 240, 600, 1300])
def test_a_leak_is_found_within_half_an_hour_beside_a_node_that_cycles(period_s):
    """55 MiB an hour, which Nav2 was reported to have; the cycling node is not named."""
    found = watched(30, lambda s: 100 + s * 55 / 3600, cycles(period_s))
    assert len(found.leak_suspects) == 1
    assert found.leak_suspects[0].startswith('node0 (PID 10, +55 MiB/h')
    assert 'confidence medium' in found.leak_suspects[0]


def test_a_leak_that_goes_on_for_an_hour_and_a_half_is_sure():
    """A map that loads takes 40 minutes."""
    assert 'confidence high' in watched(95, lambda s: 100 + s * 55 / 3600).leak_suspects[0]


def test_a_node_that_leaks_and_cycles_is_found():
    """The floor below the cycles rises."""
    found = watched(30, lambda s: s * 60 / 3600 + cycles(45)(s))
    assert 'node0' in found.leak_suspects[0]


@pytest.mark.parametrize('mib_at', [
    lambda s: 100, lambda s: 100 + min(s, 240), lambda s: 100 + s * 4 / 3600,
    lambda s: 100 + (s * 7919 % 31), lambda s: 300 - s / 60,
    lambda s: 100 + 300 * (1 - math.exp(-s / 300)), lambda s: 100 + 40 * (s > 900),
    lambda s: 100 + 20 * (s // 600)])
def test_what_comes_to_rest_is_no_leak(mib_at):
    """Rest, warm-ups fast and slow, noise, a fall, one allocation, a step in ten minutes."""
    assert watched(30, mib_at).leak_suspects == ()


@pytest.mark.parametrize('minutes', [26, 28, 30, 45, 60, 90, 119])
def test_a_long_cycle_that_was_as_high_before_is_not_named(minutes):
    """150 MiB up and down in 40 minutes: seen once, it is known."""
    found = watched(80 + minutes, lambda s: 100 + 75 * (1 - math.cos(s / 2400 * 2 * math.pi)))
    assert found.leak_suspects == ()


def test_a_leak_that_begins_late_is_found_half_an_hour_later():
    """After an hour at rest."""
    found = watched(91, lambda s: 100 + max(0, s - 3600) * 55 / 3600)
    assert len(found.leak_suspects) == 1


def test_a_slow_leak_is_found_within_two_hours():
    """10 MiB an hour."""
    assert 'over 1' in watched(120, lambda s: 100 + s * 10 / 3600).leak_suspects[0]


def test_pages_of_files_are_no_leak():
    """They come back with the page cache."""
    history, found = risk.History(), None
    for at in range(0, 1800, 10):
        taken = Sample(float(at), at, Host('r', 4096, '6.1.0'), MEMINFO, OFF, VmStat(0),
                       processes=(node(10, 100, file_mib=at / 30),))
        found, history = risk.assess(taken, history, SETTINGS)
    assert found.leak_suspects == ()


def test_a_protected_leak_is_a_warning_and_growth_is_told_early():
    """After two minutes the pace shows; 0 at rest; nothing before."""
    assert watched(30, lambda s: 100 + s * 55 / 3600).leaking
    assert watched(1, lambda s: 100 + s).growth == ()
    (_, rate), = watched(3, lambda s: 100).growth
    assert rate == 0.0
    (_, rate), = watched(8, lambda s: 100 + s / 60).growth
    assert rate == pytest.approx(MIB / 60, rel=0.05)


def assessed(minutes, processes_at, every_s=10, meminfo_at=lambda s: MEMINFO):
    """Return the assessments of these processes and of this memory, one each minute."""
    history, found = risk.History(), []
    for at in range(0, int(minutes * 60), every_s):
        taken = Sample(float(at), at, Host('robot', 4096, '6.1.0'), meminfo=meminfo_at(at),
                       pressure=OFF, vmstat=VmStat(0), processes=tuple(processes_at(at)))
        assessment, history = risk.assess(taken, history, SETTINGS)
        if at % 60 == 0:
            found.append(assessment)
    return found


def first_named(found):
    """Return (minute, pace in MiB/h, text) of the first suspect."""
    for minute, assessment in enumerate(found):
        for text in assessment.leak_suspects:
            return minute, float(text.split('+')[1].split(' ')[0]), text
    return None


def test_a_respawned_node_goes_on_where_the_dead_one_ended():
    """It leaks 300 MiB/h and dies every 20 minutes, so that it never holds much."""
    minute, pace, text = first_named(assessed(40, lambda s: [replace(
        node(10 + s // 1200, 100 + (s % 1200) / 12, 'x'), start_time=s // 1200)]))
    assert minute < 30 and pace == pytest.approx(300, rel=0.3)
    assert text.startswith('x (PID 1')


def test_a_node_that_crashes_every_five_minutes_is_no_leak():
    """It takes as much each time; the growth of a short life is a start."""
    assert first_named(assessed(60, lambda s: [replace(
        node(10 + s // 300, 100 + s % 300, 'x'), start_time=s // 300)])) is None


def test_a_family_that_forks_is_named_by_the_number_of_its_processes():
    """One child more of 30 MiB each six minutes: 300 MiB/h, though no process grows."""
    minute, pace, text = first_named(assessed(45, lambda s: [
        node(10 + k, 30, 'w') for k in range(s // 360 + 1)]))
    assert minute < 40 and pace == pytest.approx(300, rel=0.3)
    assert 'processes' in text


def test_a_program_that_is_not_ros_is_named_too():
    """Gazebo, a browser; a small one is not even looked at."""
    def gazebo(mib):
        return replace(node(10, mib), program=Program('gz', executable='gz'))
    assert first_named(assessed(30, lambda s: [gazebo(100 + s / 12)]))[2].startswith('gz (PID')
    assert first_named(assessed(30, lambda s: [gazebo(s / 120)])) is None


@pytest.mark.parametrize('field, name', [
    ('shmem_bytes', 'shared memory'), ('slab_bytes', 'unreclaimable slab'),
    ('page_tables_bytes', 'page tables'), ('kernel_stack_bytes', 'kernel stacks')])
def test_memory_of_the_kernel_is_named(field, name):
    """300 MiB/h that no process shows."""
    def grown(s):
        return replace(MEMINFO, s_reclaimable_bytes=0, **{field: int((100 + s / 12) * MIB)})
    _, pace, text = first_named(assessed(30, lambda s: [], meminfo_at=grown))
    assert text.startswith(name) and pace == pytest.approx(300, rel=0.1)


@pytest.mark.parametrize('step, wait_s', [(225, 2700), (64, 3000)])
def test_a_staircase_is_named_after_its_second_step(step, wait_s):
    """Equal steps at equal times, and nothing between them."""
    minute, pace, _ = first_named(assessed(
        wait_s / 30 + 10, lambda s: [node(10, 100 + step * (s // wait_s), 'x')]))
    assert minute <= 2 * wait_s / 60 + 8
    assert pace == pytest.approx(step * 3600 / wait_s, rel=0.3)


@pytest.mark.parametrize('mib_at, rests_min', [
    (lambda s: 100 + min(400, s / 6), 40), (lambda s: 100 + min(600, s / 6), 60),
    (lambda s: 100 + 400 * (1 - math.exp(-s / 1200)), 60),
    (lambda s: 100 + 400 * (1 - math.exp(-s / 3600)), 120)])
def test_what_has_come_to_rest_is_taken_back_and_was_never_sure(mib_at, rests_min):
    """A map of 40 minutes, a ring buffer of an hour, and what warms up."""
    found = assessed(rests_min + 20, lambda s: [node(10, mib_at(s), 'x')])
    assert any(f.leak_suspects for f in found)
    assert not any('high' in text for f in found for text in f.leak_suspects)
    assert all(f.leak_suspects == () for f in found[rests_min + 10:])


def test_two_allocations_of_different_size_are_no_staircase():
    """A small map and a large one."""
    assert first_named(assessed(110, lambda s: [
        node(10, 100 + 40 * (s > 1200) + 150 * (s > 4000), 'x')])) is None


@pytest.mark.parametrize('second_mib, first_s, named', [
    (100, 1200, True), (92, 1200, True), (80, 1200, False), (100, 4200, False)])
def test_only_two_steps_must_be_alike_and_the_first_must_not_come_late(
        second_mib, first_s, named):
    """Two maps of about one size are no leak; a third step would tell."""
    def held(s):
        return 100 + 100 * (s > first_s) + second_mib * (s > first_s + 1800)
    found = assessed((first_s + 4200) / 60, lambda s: [node(10, held(s), 'x')])
    assert (first_named(found) is not None) == named


def test_a_container_is_named_with_its_nodes_and_the_one_that_was_loaded_last():
    """Loaded a minute before memory began to grow."""
    def container(s):
        names = ('/container', '/a') + (('/b',) if s >= 1800 else ())
        return [replace(node(10, 100 + max(0, s - 1860) / 12, 'component_container'),
                        graph_node_names=names)]
    text = first_named(assessed(70, container))[2]
    assert text.startswith('/container (PID 10, 3 nodes, /b loaded when the growth began, +')


@given(st.lists(st.tuples(st.floats(0.1, 300), st.floats(0, 1e12)), min_size=1, max_size=150))
def test_floors_are_bounded_and_never_above_what_was_held(steps):
    """Whatever comes in."""
    grown, now_s, held = floors.Floors(), 0.0, []
    for wait_s, value in steps:
        now_s += wait_s
        held.append(value)
        grown = floors.extend(grown, now_s, value)
    assert len(grown.recent) <= floors.POINTS_MAX and len(grown.long) <= floors.POINTS_MAX
    assert {v for _, v in grown.recent} <= set(held)
    assert grown.recent[-1][1] <= held[-1]


def test_a_program_whose_processes_were_not_read_again_still_rests():
    """An idle sentinel reads the table seldom; its floors go on."""
    table, history = (node(10, 100),), risk.History()
    for at in range(0, 600, 10):
        _, history = risk.assess(
            Sample(float(at), at, Host('robot', 4096, '6.1.0'), meminfo=MEMINFO, pressure=OFF,
                   vmstat=VmStat(0), processes=table), history, SETTINGS)
    program, = history.growth.programs
    assert len(program.floors.recent) == 20 and program.floors.bytes_per_s == 0.0


def test_a_node_that_was_loaded_long_before_the_growth_is_not_named():
    """Half an hour before; the container's own node is never named."""
    def container(s):
        names = ('/container', '/a') + (('/b',) if s >= 1800 else ())
        return [replace(node(10, 100 + max(0, s - 3600) / 12, 'component_container'),
                        graph_node_names=names)]
    text = first_named(assessed(100, container))[2]
    assert text.startswith('/container (PID 10, 3 nodes, +')


def test_a_node_that_crashes_is_no_leak_on_a_machine_that_runs_for_long():
    """Each life is counted from when it was first seen, also the first one."""
    growth = leaks.Growth()
    for at in range(10_000, 13_000, 10):
        life = (at - 10_000) // 500
        taken = Sample(float(at), at, Host('robot', 4096, '6.1.0'), meminfo=MEMINFO, pressure=OFF,
                       vmstat=VmStat(0), processes=(replace(
                           node(10 + life, 100 + (at - 10_000) % 500, 'x'), start_time=life),))
        growth = leaks.watch(growth, taken, Protection())
        assert growth.programs[0].base == 0.0 and growth.suspects == ()
    assert growth.programs[0].born_s == 12_500.0


def stepped(step_mib, rest_min, after_min, **more):
    """Return the assessment of a node that steps once after a rest, so many minutes later."""
    return watched(rest_min + after_min,
                   lambda s: 100 + step_mib * (s >= 60 * rest_min) + more.get('creeps', 0) * s)


@pytest.mark.parametrize('step_mib, rest_min, after_min, named', [
    (64, 70, 4, True), (64, 70, 1, False), (64, 70, 8, True), (64, 70, 10, False),
    (64, 20, 4, True), (64, 17, 4, False), (58, 70, 4, True), (57, 70, 4, False),
    (70, 70, 4, True), (71, 70, 4, False), (128, 70, 4, False)])
def test_a_single_arena_after_a_rest_is_named_with_low_confidence(step_mib, rest_min, after_min,
                                                                  named):
    """A heap of glibc is 64 MiB; ten minutes later it is taken back, and it raises no level."""
    found = stepped(step_mib, rest_min, after_min)
    assert bool(found.leak_suspects) == named
    assert not found.leaking
    if named:
        pace = step_mib / rest_min * 60
        assert found.leak_suspects == (
            f'node0 (PID 10, +{pace:.0f} MiB/h, 0 to {pace:.0f}, confidence low, over '
            f'{rest_min} min)',)


def test_a_step_of_a_family_or_of_memory_without_owner_is_no_arena():
    """A child more, or a segment in /dev/shm, is 64 MiB too; and what creeps does not rest."""
    family = assessed(74, lambda s: [node(10, 100, 'x'), node(11, 100 + 64 * (s >= 4200), 'x')])
    assert not any(found.leak_suspects for found in family)
    shared = assessed(74, lambda s: [], meminfo_at=lambda s: replace(
        MEMINFO, shmem_bytes=(100 + 64 * (s >= 4200)) * MIB))
    assert not any(found.leak_suspects for found in shared)
    assert not stepped(64, 70, 4, creeps=1 / 600).leak_suspects


@pytest.mark.parametrize('first_min', [0, 14, 18, 25, 35, 50, 69.9])
def test_a_staircase_of_arenas_is_named_within_100_minutes(first_min):
    """64 MiB each 70 minutes are 55 MiB/h, wherever its first step lies."""
    found = assessed(101, lambda s: [node(
        10, 100 + 64 * ((s - 60 * first_min) // 4189 + 1) * (s >= 60 * first_min), 'x')])
    assert first_named(found)[0] <= 100


def test_a_program_that_changed_nothing_is_remembered_for_two_minutes_after_its_end():
    """It is not looked at anew while it rests, and known until then all the same."""
    history, known = risk.History(), []
    for at in range(0, 3000, 10):
        alive = tuple(node(pid, 100, name) for pid, name in ((10, 'x'), (11, 'y'))
                      if name == 'y' or at < 2400)
        taken = Sample(float(at), at, Host('r', 4096, '6.1.0'), MEMINFO, OFF, VmStat(0),
                       processes=alive)
        _, history = risk.assess(taken, history, SETTINGS)
        if any(p.name == 'x' for p in history.growth.programs):
            known.append(at)
    assert 2390 + leaks.GONE_S - 30 <= known[-1] <= 2390 + leaks.GONE_S


@pytest.mark.parametrize('change', [
    {'start_time': 11}, {'memory': TaskMemory(101 * MIB, 0, 0, 0)},
    {'memory': TaskMemory(100 * MIB, 0, 0, 4096)}, {'graph_node_names': ('/named',)},
    {'listed_node_names': ('/a', '/b')}, {'memory': TaskMemory(100 * MIB, 4096, 0, 0)}])
def test_a_process_with_anything_changed_is_looked_at_anew(change):
    """Its start, what it keeps, and what the graph calls it; the same again is not."""
    process = node(10, 100, 'x')
    last = leaks._extended(None, 'x', [process], 0.0)
    assert leaks._extended(last, 'x', [process], 10.0) is last
    assert leaks._extended(last, 'x', [process], 31.0).seen_s == 31.0
    warmed = replace(last, rests_until_s=0.0)
    assert leaks._extended(warmed, 'x', [process], 10.0) is warmed
    assert leaks._extended(last, 'x', [replace(process, **change)], 10.0) is not last


def test_a_program_of_many_small_processes_matters_by_their_sum_without_file_pages():
    """Two of 8 MiB, or a ROS node of any size."""
    small = replace(node(10, 8, 'x'), program=Program('x', executable='x'))
    filed = replace(small, memory=TaskMemory(9 * MIB, 0, 0, 2 * MIB))
    assert leaks._matters([small, small]) and not leaks._matters([small])
    less = replace(small, memory=TaskMemory(8 * MIB - 1, 0, 0))
    assert not leaks._matters([small, less])
    assert not leaks._matters([small, filed])
    assert leaks._matters([replace(small, memory=TaskMemory(8 * MIB, 8 * MIB, 0))])
    assert leaks._matters([node(10, 1, 'x')])
    assert not leaks._matters([replace(small, memory=None)])


@pytest.mark.parametrize('seen_s, named', [(280.0, True), (281.0, False), (0.0, False)])
def test_a_node_that_was_loaded_within_three_minutes_of_the_growth_is_named(seen_s, named):
    """The growth began at 100 s; what was there from the beginning is not named."""
    grown = floors.Floors(recent=((0.0, 5.0), (100.0, 5.0), (200.0, 50.0), (300.0, 99.0)))
    program = leaks.Program('x', grown, frozenset({node(10, 1).identity}),
                            nodes=(('/a', 0.0), ('/b', seen_s)))
    assert leaks._processes(program) == 'PID 10, 2 nodes' + (
        ', /b loaded when the growth began' if named else '')


def test_three_of_the_nodes_that_were_loaded_then_are_named():
    """In the order of the container."""
    grown = floors.Floors(recent=((0.0, 5.0), (100.0, 5.0), (200.0, 50.0), (300.0, 99.0)))
    program = leaks.Program('x', grown, frozenset({node(10, 1).identity}), nodes=(
        ('/a', 0.0), *((f'/{name}', 90.0) for name in 'bcde')))
    assert leaks._processes(program) == (
        'PID 10, 5 nodes, /b and /c and /d loaded when the growth began')


def test_a_program_is_called_by_its_node_else_by_its_executable_else_by_its_comm():
    """What stays when it is respawned."""
    for program, name in ((Program('c', executable='exe', node_names=('/a', '/b')), '/a'),
                          (Program('c', executable='exe'), 'exe'), (Program('c'), 'c')):
        assert leaks.program_name(replace(node(10, 1), program=program)) == name


def test_the_floors_of_a_respawned_program_wait_for_a_reading_after_its_warm_up():
    """Until then its table is no new reading; at rest before, it is one."""
    warms = leaks.Program('x', kept=100.0, seen_s=50.0, rests_until_s=100.0)
    for now_s in (60.0, 110.0):
        assert leaks._repeated(warms, now_s) is warms
    warmed = replace(warms, seen_s=100.0)
    assert leaks._repeated(warmed, 100.0).floors.recent == ((100.0, 100.0),)


@pytest.mark.parametrize('now_s, known', [(49.0, False), (50.0, True), (169.0, True),
                                          (170.0, False)])
def test_a_program_that_is_gone_is_known_for_two_minutes(now_s, known):
    """And no longer when the clock was set back."""
    last = (leaks.Program('x', seen_s=50.0),)
    assert leaks._programs(last, now_s, (), Protection()) == (last if known else ())


@pytest.mark.parametrize('lived_s, base', [(590.0, 0.0), (600.0, 100.0 * MIB)])
def test_a_respawned_program_goes_on_where_one_that_lived_ten_minutes_ended(lived_s, base):
    """A shorter life is a crash; in both cases this life is counted from now on."""
    first = leaks._extended(None, 'x', [node(10, 100, 'x')], 50.0)
    found = leaks._extended(first, 'x', [node(11, 30, 'x')], 50.0 + lived_s)
    assert (found.base, found.born_s) == (base, 50.0 + lived_s)
    assert found.rests_until_s == (50.0 + lived_s + leaks.WARM_UP_S if base else -math.inf)


def test_two_hundred_programs_are_kept_in_the_order_in_which_they_were_found():
    """Of more the two hundred largest."""
    nodes = [node(100 + i, 10 + i, f'n{i}') for i in range(leaks.PROGRAMS_MAX + 1)]
    found = leaks._programs((), 0.0, nodes[:-1], Protection())
    assert [p.name for p in found] == [f'n{i}' for i in range(leaks.PROGRAMS_MAX)]
    found = leaks._programs((), 0.0, nodes, Protection())
    assert [p.name for p in found] == [f'n{i}' for i in range(leaks.PROGRAMS_MAX, 0, -1)]


def test_a_respawned_program_is_followed_from_the_end_of_its_warm_up_on():
    """Two minutes: at their end its floors begin where the dead one's ended."""
    first = leaks._extended(None, 'x', [node(10, 100, 'x')], 0.0)
    second = [node(11, 30, 'x')]
    warms = leaks._extended(first, 'x', second, 600.0)
    assert leaks._extended(warms, 'x', second, 719.0).floors is first.floors
    warmed = leaks._extended(leaks._extended(warms, 'x', second, 719.0), 'x', second, 720.0)
    assert warmed.base == 70.0 * MIB and warmed.floors.recent[-1] == (720.0, 100.0 * MIB)
