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

"""Levels: quiet unless someone must act, held, and never lowered by more pressure."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import report
from oom_sentinel import risk
from oom_sentinel import settings
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.level import Level
from oom_sentinel.facts.level import Unavailable
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import PressureLine
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Host
from oom_sentinel.facts.sample import Sample
import pytest

GIB = 1 << 30
HOST = Host('robot', 4096, '6.1.0')
SETTINGS = settings.build({})


def meminfo(available=50, swap_total=0, swap_free=0):
    """Return 1 GiB with this share available, in percent."""
    return MemInfo(GIB, GIB // 10, GIB * available // 100, swap_total_bytes=swap_total,
                   swap_free_bytes=swap_free)


def psi(some=0.0, full=0.0):
    """Return a pressure reading."""
    return Pressure(PressureLine(some, 0.0, 0.0, 0), PressureLine(full, 0.0, 0.0, 0))


def sample(at=0.0, **facts):
    """Return a sample with these facts."""
    facts.setdefault('meminfo', meminfo())
    facts.setdefault('pressure', psi())
    return Sample(at, at, HOST, vmstat=VmStat(0), **facts)


def level(subject, taken, history=None, chosen=SETTINGS):
    """Return the level of one subject."""
    return getattr(risk.assess(taken, history or risk.History(), chosen)[0], subject).level


@pytest.mark.parametrize('facts, expected', [
    ({'meminfo': meminfo(16)}, Level.OK), ({'meminfo': meminfo(14)}, Level.WARN),
    ({'meminfo': meminfo(4)}, Level.ERROR),
    ({'meminfo': meminfo(50, GIB, 0)}, Level.OK),
    ({'meminfo': meminfo(14, GIB, GIB // 20)}, Level.ERROR)])
def test_memory_levels(facts, expected):
    """A full small swap is normal; it counts only while MemAvailable is low."""
    assert level('memory', sample(**facts)) == expected


def test_no_psi_is_ok_with_the_reason():
    """A Raspberry Pi's default kernel must not raise an alarm."""
    taken = sample(pressure=Unavailable('boot with psi=1'))
    assessment, _ = risk.assess(taken, risk.History(), SETTINGS)
    status = report.compose(taken, assessment, Protection(), SETTINGS)[1]
    assert status.level == Level.OK and 'psi=1' in status.message


def test_a_level_rises_at_once_and_falls_after_hold_s():
    """hold_s is 5 s."""
    history, seen = risk.History(), []
    for at, available in ((0, 50), (1, 4), (2, 50), (5, 50), (6.5, 50)):
        assessment, history = risk.assess(sample(at, meminfo=meminfo(available)), history,
                                          SETTINGS)
        seen.append(assessment.memory.level)
    assert seen == [Level.OK, Level.ERROR, Level.ERROR, Level.ERROR, Level.OK]


@given(st.integers(0, 100), st.integers(0, 100), st.floats(0, 100), st.floats(0, 100),
       st.floats(0, 100), st.floats(0, 100))
def test_more_pressure_never_lowers_a_level(m1, m2, s1, s2, f1, f2):
    """Neither less memory nor more stall makes anything look better."""
    calm = sample(meminfo=meminfo(max(m1, m2)), pressure=psi(min(s1, s2), min(f1, f2)))
    worse = sample(meminfo=meminfo(min(m1, m2)), pressure=psi(max(s1, s2), max(f1, f2)))
    for subject in ('memory', 'pressure', 'risk'):
        assert level(subject, worse) >= level(subject, calm)
    score = [risk.assess(t, risk.History(), SETTINGS)[0].oom_risk for t in (calm, worse)]
    assert 0.0 <= score[0] <= score[1] <= 1.0


def process(pid, mib, adj, name):
    """Return a process that holds MiB."""
    return Process(pid, pid, 1, 0, Program(name, executable=name),
                   memory=TaskMemory(mib << 20, 0, 0), oom_score_adj=adj)


def test_inside_a_limited_cgroup_its_own_totalpages_order():
    """-300 saves the driver on the machine, and not inside a control group of 100 MiB."""
    table = (process(10, 80, -300, 'driver'), process(11, 20, 0, 'leaky'),
             process(12, 500, 0, 'outside'))
    group = MemoryCgroup('/robot', 2, limit_bytes=100 << 20, usage_bytes=97 << 20)
    taken = sample(chains=(CgroupChain('/robot', (group,)),), own_cgroup='/robot',
                   processes=table, processes_monotonic_s=1.0,
                   members=(('/robot', frozenset({10, 11})),))
    assessment, _ = risk.assess(taken, risk.History(), SETTINGS)
    assert assessment.domain == '/robot'
    assert [c.process.pid for c in assessment.kill_order] == [10, 11]
    assert assessment.cgroups.level == Level.ERROR


def test_a_protected_first_victim_is_an_error_only_while_risk_is_not_ok():
    """Order matters when memory is short."""
    driver = process(10, 300, -300, 'driver')
    protection = Protection(targets=(Target(driver, 'drivers', -300, -300, ''),))
    found = []
    for available in (50, 14):
        taken = sample(meminfo=meminfo(available), processes=(driver,),
                       processes_monotonic_s=1.0)
        found.append(risk.assess(taken, risk.History(), SETTINGS, protection)[0].risk.level)
    assert found == [Level.OK, Level.ERROR]


def test_a_steady_fall_is_foreseen_and_noise_is_not():
    """50 MiB/s from 900 MiB free; and a sawtooth."""
    for steady in (True, False):
        history, assessment = risk.History(), None
        for at in range(12):
            left = 900 - 50 * at if steady else 500 + 100 * (at % 2)
            taken = sample(float(at), meminfo=replace(meminfo(), mem_available_bytes=left << 20))
            assessment, history = risk.assess(taken, history, SETTINGS)
        if steady:
            assert assessment.time_to_exhaustion_s == pytest.approx(7.0, rel=0.05)
            assert assessment.risk.level == Level.ERROR
        else:
            assert assessment.time_to_exhaustion_s is None


def test_every_message_is_a_sentence_and_every_value_a_string():
    """rqt_robot_monitor hides exactly Error and Warning."""
    for facts in ({}, {'meminfo': Unavailable('gone')}, {'chains': Unavailable('none')},
                  {'pressure': Unavailable('off')}, {'meminfo': meminfo(2)}):
        taken = sample(**facts)
        assessment, _ = risk.assess(taken, risk.History(), SETTINGS)
        for status in report.compose(taken, assessment, Protection(), SETTINGS):
            assert status.message.endswith('.') and len(status.message.split()) > 1
            assert all(isinstance(k, str) and isinstance(v, str) and v != 'None'
                       for k, v in status.values)
