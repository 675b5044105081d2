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

"""PSI triggers of the machine and of control groups (Documentation/accounting/psi.rst)."""

from dataclasses import dataclass
import errno
import os
import select

from oom_sentinel.facts.sample import Waking
from oom_sentinel.kernel.root import Root
from oom_sentinel.kernel.wake.loop import Watch

NAME = 'memory pressure'
MACHINE = '/proc/pressure/memory'
MOST_GROUPS = 32  # a descriptor each
# Unprivileged windows are multiples of 2 s (psi_trigger_create(), kernel/sched/psi.c, Linux
# 6.4); before, every trigger took CAP_SYS_RESOURCE.
WINDOWS_US = (1_000_000, 2_000_000)
WHY = {
    errno.EOPNOTSUPP: 'pressure stall information is off; boot with psi=1',
    errno.ENOENT: 'this kernel has no pressure stall information',
    errno.EPERM: 'this kernel lets only CAP_SYS_RESOURCE wait for stalls, before Linux 6.4',
    errno.EACCES: 'this user may not write to it',
}


@dataclass(slots=True)
class _Armed:
    descriptor: int
    window_us: int
    ended: bool = False


def arm_trigger(root: Root, path: str, stall_us: int) -> tuple[int, int]:
    """
    Arm a PSI trigger: return a descriptor that polls EPOLLPRI, and its window in microseconds.

    :param path: a PSI file.
    :param stall_us: the stall in one window after which the descriptor polls.
    :raises OSError: EPERM or EACCES where it is refused, EOPNOTSUPP where PSI is off.
    """
    *_, last_window_us = WINDOWS_US
    for window_us in WINDOWS_US:
        descriptor = os.open(root.prefix + path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, b'some %d %d\0' % (stall_us, window_us))
            return descriptor, window_us
        except OSError as error:
            os.close(descriptor)
            if error.errno not in (errno.EINVAL, errno.EPERM) or window_us == last_window_us:
                raise
    raise AssertionError('every window either returns or raises')


class Stalls:
    """Wakes by NAME when tasks waited for memory too long."""

    def __init__(self, watch: Watch, root: Root) -> None:
        """Arm no trigger yet."""
        self._watch = watch
        self._root = root
        self._armed: dict[str, _Armed] = {}
        self._wanted: tuple[int, frozenset[str]] = (-1, frozenset())
        self.waking = Waking()

    def arm(self, stall_ms: int, groups: frozenset[str] = frozenset()) -> None:
        """
        Arm triggers for a stall of so many milliseconds in a window; 0 disarms all.

        :param groups: PSI files of control groups, beside the machine's.
        Does nothing while neither changes, unless a group was removed meanwhile.
        """
        wanted = (stall_ms, groups)
        ended = [path for path, armed in self._armed.items() if armed.ended]
        if wanted == self._wanted and not ended:
            return
        anew = stall_ms != self._wanted[0]
        self._wanted = wanted
        keep = frozenset() if anew or not stall_ms else groups | {MACHINE}
        for path in [p for p in self._armed if p not in keep or p in ended]:
            self._disarm(path)
        why = 'pressure.trigger_stall_ms is 0'
        if stall_ms:
            why = self._arm(MACHINE, 1000 * stall_ms)
            for path in sorted(groups)[:MOST_GROUPS]:
                self._arm(path, 1000 * stall_ms)
        machine = self._armed.get(MACHINE)
        self.waking = Waking(1000 * stall_ms, machine.window_us if machine else None,
                             why or None, len(self._armed) - bool(machine))

    def _arm(self, path: str, stall_us: int) -> str:
        """Arm one trigger; return why that is not possible, an empty string when it is."""
        if path in self._armed:
            return ''
        try:
            descriptor, window_us = arm_trigger(self._root, path, stall_us)
        except OSError as error:
            return WHY.get(error.errno or 0, error.strerror or str(error))
        armed = _Armed(descriptor, window_us)
        try:
            self._watch.add(descriptor, select.EPOLLPRI, NAME,
                            lambda events: self._stalled(armed, events))
        except OSError as error:
            os.close(descriptor)
            return error.strerror or str(error)
        self._armed[path] = armed
        return ''

    def _stalled(self, armed: _Armed, events: int) -> bool:
        armed.ended = bool(events & select.EPOLLERR)  # its control group was removed
        return not armed.ended

    def _disarm(self, path: str) -> None:
        descriptor = self._armed.pop(path).descriptor
        self._watch.remove(descriptor)
        os.close(descriptor)

    def close(self) -> None:
        """Disarm all triggers."""
        for path in list(self._armed):
            self._disarm(path)
