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

"""Findings about what keeps protection from working: floors, unit policies, old values."""

from collections.abc import Iterator
from shlex import quote

from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.doctor.place import kind_of
from oom_sentinel.doctor.text import drop_in
from oom_sentinel.doctor.text import remark
from oom_sentinel.doctor.text import remedy
from oom_sentinel.doctor.text import ros_processes
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.settings.programs import OWN_NODE

WANTED = -500  # the lowest value that a default group asks for


def check(checkup: Checkup) -> Iterator[Finding]:
    """Return what would be denied or undone."""
    yield from _floor(checkup)
    yield from _session(checkup)
    yield from _units(checkup)
    yield from _inherited(checkup)


def _floor(checkup: Checkup) -> Iterator[Finding]:
    floor = checkup.floor
    if isinstance(floor, Unavailable) or floor <= WANTED:
        return
    yield Finding('no_floor', Severity.WARNING,
                  f'what {checkup.user or "this user"} starts here may not go below '
                  f'oom_score_adj {floor} without CAP_SYS_RESOURCE: values down to {WANTED} '
                  'would be denied, and other processes raised instead', _grant(checkup))


def _grant(checkup: Checkup) -> str:
    kind = kind_of(checkup)
    if kind in ('Docker', 'Podman'):
        return remedy(remark('On the host, with the options that the container has already:'),
                      f'{kind.lower()} run --oom-score-adj={WANTED} IMAGE choom -n 0 -- '
                      'ros2 launch PACKAGE FILE')
    if kind == 'Kubernetes':
        return remedy(remark('Give the pod requests equal to its limits (class Guaranteed: the '
                             'kubelet sets oom_score_adj -997), and start in it:'),
                      'choom -n 0 -- ros2 launch PACKAGE FILE')
    units = [u for u in checkup.surroundings.units if not u.user]
    name = units[0].name if units else 'ROBOT.service'
    which = '' if units else remark('ROBOT.service is the unit that starts the robot.')
    return remedy(
        which, drop_in(name, 'oom-floor', f'OOMScoreAdjust={WANTED}', 'OOMPolicy=continue'),
        remark('In the start script of the unit write choom -n 0 -- before ros2 launch, so that '
               'the nodes begin at 0.  Then:'),
        f'sudo systemctl restart {quote(name)}')


def _session(checkup: Checkup) -> Iterator[Finding]:
    value = checkup.surroundings.user_session_adj
    if value is not None:
        yield Finding('user_session_floor', Severity.WARNING,
                      f'user@.service gave oom_score_adj {value} to this session: what is '
                      'started in its terminals dies before system services',
                      remedy(drop_in('user@.service', 'oom', 'OOMScoreAdjust=0'),
                             remark('Then log out and in again.')))


def _units(checkup: Checkup) -> Iterator[Finding]:
    for unit in checkup.surroundings.units:
        if unit.oom_policy == 'continue':
            continue
        how = ('ends the whole unit' if unit.oom_policy == 'stop'
               else 'makes the kernel kill all of the unit')
        yield Finding(f'oom_policy_{unit.oom_policy}', Severity.WARNING,
                      f'{unit.name} has OOMPolicy={unit.oom_policy} and holds '
                      f'{ros_processes(unit.processes)}: one killed for memory {how}',
                      drop_in(unit.name, 'oom', 'OOMPolicy=continue', user=unit.user))


def _inherited(checkup: Checkup) -> Iterator[Finding]:
    if any(_is_sentinel(p) for p in checkup.processes):
        return
    low = [p for p in checkup.processes if p.program.ros and (p.oom_score_adj or 0) < 0]
    if low:
        yield Finding('inherited_protection', Severity.WARNING,
                      f'{ros_processes(len(low))} below 0, {low[0].label} (PID {low[0].pid}) with '
                      f'oom_score_adj {low[0].oom_score_adj}, and no sentinel runs: a '
                      'leaking node is protected too, and sshd dies first',
                      'ros2 launch oom_sentinel oom_sentinel.launch.py')


def _is_sentinel(process: Process) -> bool:
    return process.program.executable == OWN_NODE
