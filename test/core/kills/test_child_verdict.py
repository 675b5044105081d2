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

"""What is said of a process that died by signal 9, 15 or 6."""

from dataclasses import replace

from oom_sentinel.facts.memory import MIB
from oom_sentinel.kills import child_verdict
from oom_sentinel.kills.child_verdict import Counters
from oom_sentinel.kills.child_verdict import MemoryThen
import pytest

PATH = '/robot'


def say(history, now, path=PATH, **more):
    """Return the verdict on a node."""
    return child_verdict.killed('amcl', history, now, path, **more)


def counters(second, machine, group):
    """Return counters of the machine and of the node's control group."""
    return Counters(second, machine, ((PATH, group),))


@pytest.mark.parametrize('code, meant', [
    (-9, 9), (137, 9), (-15, 15), (143, 15), (-6, 6), (134, 6), (0, None), (9, None), (1, None),
    (-2, None)])
def test_a_signal_is_known_from_both_exit_codes(code, meant):
    """From subprocess comes -9, from a shell 137."""
    assert child_verdict.signal_of(code) == meant


def test_counters_that_stood_still_acquit_the_kernel():
    """A SIGKILL of somebody."""
    found = say([counters(0, 5, 2)], counters(20, 5, 2))
    assert found.by_oom is False and 'someone sent SIGKILL' in found.text


def test_a_kill_elsewhere_acquits_the_kernel_too():
    """The machine's counter moved, the node's own control group's did not."""
    assert say([counters(0, 5, 2)], counters(20, 6, 2)).by_oom is False


def test_the_own_groups_counter_convicts_it():
    """It says how sure, and by which counter."""
    found = say([counters(0, 5, 2)], counters(2, 6, 3))
    assert found.by_oom and 'almost certainly' in found.text and PATH in found.text


def test_an_old_kill_is_not_this_one():
    """The counter moved long before the death."""
    history = [counters(0, 5, 2), counters(10, 6, 3), counters(20, 6, 3)]
    assert say(history, counters(25, 6, 3)).by_oom is False


def test_what_another_death_accounts_for_is_not_this_one():
    """One kill, two deaths: the second is open."""
    found = say([counters(0, 5, 2)], counters(3, 6, 3), claimed_s=[2.0])
    assert found.by_oom is None and 'probably not' in found.text


def test_the_machines_counter_alone_makes_it_probable():
    """No memory controller, as on a Raspberry Pi."""
    found = say([Counters(0, 5)], Counters(3, 6), None)
    assert found.by_oom and 'probably' in found.text


def test_nothing_known_is_said_to_be_unknown():
    """Before Linux 4.13, or nothing read yet."""
    assert say([Counters(0)], Counters(3)).by_oom is None
    assert say([], counters(3, 6, 3)).by_oom is None


def test_the_kernel_log_is_believed_before_counters():
    """It names the process."""
    assert say([counters(0, 5, 2)], counters(1, 5, 2), logged=True).by_oom is True


def test_a_program_that_kills_before_the_kernel_is_named():
    """Where the counters acquit the kernel, and for SIGTERM."""
    found = say([counters(0, 5, 2)], counters(20, 5, 2), killers=('earlyoom', 'systemd-oomd'))
    assert 'not by the kernel' in found.text and 'earlyoom or systemd-oomd' in found.text
    ended = child_verdict.terminated('amcl', ('nohang',))
    assert ended.by_oom is None and 'perhaps by nohang' in ended.text
    assert child_verdict.terminated('amcl', ()) is None


ROOMY = MemoryThen(4000 * MIB, 8000 * MIB, 500 * MIB, '/robot', 6000 * MIB, 2000 * MIB)


@pytest.mark.parametrize('facts, said', [
    ({}, 'memory was not short: if it ended with std::bad_alloc it asked for a wrong size'),
    ({'mem_available_bytes': 100 * MIB}, 'the machine was short of memory'),
    ({'headroom_bytes': MIB}, 'its control group was nearly full'),
    ({'committed_bytes': 5990 * MIB, 'strict': True}, 'CommitLimit was nearly reached'),
    ({'committed_bytes': 5990 * MIB}, 'memory was not short'),
    ({'limit_as_bytes': 100 * MIB}, 'its address space is limited')])
def test_an_abort_tells_a_wrong_size_from_a_real_shortage(facts, said):
    """All that bounded an allocation then is in the line."""
    found = child_verdict.aborted('amcl', replace(ROOMY, **facts))
    assert found.by_oom is None and said in found.text
    for words in ('MemAvailable', 'control group /robot', 'RLIMIT_AS', 'RLIMIT_DATA',
                  'CommitLimit'):
        assert words in found.text


def test_unknown_facts_of_an_abort_are_not_0():
    """As on a kernel or in a place that does not show them."""
    found = child_verdict.aborted('amcl', MemoryThen())
    assert 'MemAvailable unknown of unknown' in found.text and '0 MiB' not in found.text
