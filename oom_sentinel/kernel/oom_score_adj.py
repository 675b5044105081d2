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
Writing oom_score_adj: on exactly the process meant, and saying what came back.

The process is held through a descriptor on its /proc directory, below which every open
answers ESRCH after death, so a reused PID cannot be hit.
"""

import errno
import os

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.facts.protection import Outcome
from oom_sentinel.facts.protection import Result
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel import libc
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import stat
from oom_sentinel.kernel.root import Root

FLOOR_TRIAL = -999  # not -1000: nothing is made unkillable, not even for a moment


def _open(folder: int, name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CLOEXEC, dir_fd=folder)


def _read(folder: int, name: str) -> bytes:
    descriptor = _open(folder, name, os.O_RDONLY)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)


def _write(folder: int, value: int) -> None:
    """Write the value with one system call, so that its error is not lost in a buffer."""
    descriptor = _open(folder, 'oom_score_adj', os.O_WRONLY)
    try:
        os.write(descriptor, b'%d' % value)
    finally:
        os.close(descriptor)


def _permitted(folder: int, value: int) -> bool:
    """Write, without the capability where possible; return whether it was permitted."""
    try:
        with libc.without_sys_resource() as held:
            try:
                _write(folder, value)
                return True
            except PermissionError:
                if not held:
                    return False
        _write(folder, value)
        return True
    except PermissionError:
        return False


def apply(root: Root, adjustment: Adjustment) -> Outcome:
    """
    Write one value and return what came of it; never raises for a process's sake.

    When the value is below the floor, the lowest permitted one is found by bisection between
    it and the present value, and left written.
    """
    identity = adjustment.identity
    if not root.live:
        return Outcome(adjustment, Result.FAILED, None, 'a captured tree is never written')
    try:
        folder = os.open(f'/proc/{identity.pid}',
                         os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return Outcome(adjustment, _result(error), None, str(error))
    try:
        return _apply_below(folder, identity, adjustment)
    except OSError as error:
        return Outcome(adjustment, _result(error), None, str(error))
    except ParseError as error:
        return Outcome(adjustment, Result.FAILED, None, str(error))
    finally:
        os.close(folder)


def _result(error: OSError) -> Result:
    if error.errno in (errno.ENOENT, errno.ESRCH):
        return Result.VANISHED
    return Result.NOT_OWNER if error.errno in (errno.EACCES, errno.EPERM) else Result.FAILED


def _apply_below(folder: int, identity: Identity, adjustment: Adjustment) -> Outcome:
    who = stat.parse(_read(folder, 'stat'))
    if who.start_time != identity.start_time:
        return Outcome(adjustment, Result.VANISHED, None, 'the PID belongs to another process now')
    if who.state in ('Z', 'X'):
        return Outcome(adjustment, Result.DEAD, None, 'a zombie holds no memory')
    present = int(_read(folder, 'oom_score_adj'))
    if present == adjustment.value:
        return Outcome(adjustment, Result.WRITTEN, present, found=present)
    if os.stat('oom_score_adj', dir_fd=folder).st_uid != os.geteuid() and os.geteuid() != 0:
        return Outcome(adjustment, Result.NOT_OWNER, present,
                       'its oom_score_adj belongs to another user, or to root because the '
                       'process changed its user without exec (not dumpable)', present)
    if _permitted(folder, adjustment.value):
        return Outcome(adjustment, Result.WRITTEN, adjustment.value, found=present)
    lowest = _lowest(folder, adjustment.value, present)
    return Outcome(adjustment, Result.DENIED, lowest,
                   f'{adjustment.value} is below the floor, {lowest} is the lowest permitted',
                   present)


def _lowest(folder: int, denied: int, permitted: int) -> int:
    """Return the lowest value that can be written between the two, and leave it written."""
    while permitted - denied > 1:
        middle = (permitted + denied) // 2
        if _permitted(folder, middle):
            permitted = middle
        else:
            denied = middle
    return permitted


def itself(root: Root) -> tuple[Identity, int] | None:
    """Return the identity and oom_score_adj of this process, None where /proc lacks them."""
    try:
        found = stat.parse(root.read('/proc/self/stat'))
        return (Identity(found.pid, found.start_time),
                int(root.read('/proc/self/oom_score_adj')))
    except (OSError, ParseError, ValueError):
        return None


def floor(root: Root) -> int | Unavailable:
    """
    Return the lowest oom_score_adj that is permitted to what this user starts here.

    Only a write can show it: it is tried on a child that inherits our floor and ends at once;
    no other process is touched.  -999 means that everything is permitted.
    """
    import subprocess  # for the command line; the node needs no 0.4 MB of it
    if not root.live:
        return Unavailable('a captured tree cannot be asked')
    try:
        child = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    except OSError as error:
        return Unavailable(f'no process could be started: {error.strerror}')
    try:
        base = f'/proc/{child.pid}/'
        who = Identity(child.pid, stat.parse(root.read(base + 'stat')).start_time)
        present = int(root.read(base + 'oom_score_adj'))
        outcome = apply(root, Adjustment(who, None, present, FLOOR_TRIAL, 'to find the floor'))
    except (OSError, ParseError, ValueError) as error:
        return Unavailable(str(error))
    finally:
        child.communicate()
    return Unavailable(outcome.why) if outcome.achieved is None else outcome.achieved
