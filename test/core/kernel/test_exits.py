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

"""How processes ended that are not asked of their parent."""

import os
import subprocess
import time

from conftest import wait_for
from oom_sentinel.facts.process import Identity
from oom_sentinel.kernel import Root
from oom_sentinel.kernel.files import stat
from oom_sentinel.kernel.pidfds import ExitCodes
from oom_sentinel.kernel.wake.execs import ExecEvents
import pytest


def identity_of(child):
    """Return PID and start time."""
    return Identity(child.pid, stat.parse(Root('/').read(f'/proc/{child.pid}/stat')).start_time)


@pytest.fixture
def sleepers():
    """Return three processes that only wait."""
    made = [subprocess.Popen(['sleep', '60']) for _ in range(3)]
    yield made
    for child in made:
        child.kill()
        child.wait()


def test_pidfds_tell_by_which_signal_a_process_ended(sleepers):
    """Before and after its parent has reaped it, and when it is followed no longer."""
    codes = ExitCodes(Root('/'), Root('/').host().kernel_version)
    identities = [identity_of(child) for child in sleepers]
    codes.follow(identities)
    if not codes._followed:
        pytest.skip('needs Linux 6.15')
    sleepers[0].kill()
    wait_for(lambda: codes.signal(identities[0]) == 9, 'the zombie tells')
    sleepers[0].wait()
    sleepers[1].terminate()
    sleepers[1].wait()
    assert [codes.signal(i) for i in identities] == [9, 15, None]
    codes.follow(identities[2:])
    assert [codes.signal(i) for i in identities] == [9, 15, None]
    assert codes.signal(Identity(1, 1)) is None
    codes.close()


def test_on_an_old_kernel_nothing_is_followed(sleepers):
    """No descriptor is spent on what cannot answer."""
    codes = ExitCodes(Root('/'), (6, 14))
    codes.follow([identity_of(sleepers[0])])
    sleepers[0].kill()
    sleepers[0].wait()
    assert codes._followed == {} and codes.signal(Identity(sleepers[0].pid, 1)) is None


def test_a_pid_that_another_process_has_by_now_is_not_followed(sleepers):
    """The start time must agree."""
    codes = ExitCodes(Root('/'), (6, 15))
    codes.follow([Identity(sleepers[0].pid, 1)])
    assert codes._followed == {}


def test_the_kernels_exit_events_tell_who_died_by_signal_9(sleepers):
    """Who ends by another signal, or by itself, passes no filter."""
    try:
        events = ExecEvents()
    except OSError as error:
        pytest.skip(f'no events of the proc connector here: {error}')
    try:
        since_s = time.monotonic()
        sleepers[0].kill()
        sleepers[1].terminate()
        subprocess.run(['true'])

        def died():
            events.read(0)
            return [d for d in events.deaths(since_s) or () if d.pid == sleepers[0].pid]
        wait_for(died, 'the event comes')
        (found,) = died()
        assert since_s <= found.monotonic_s <= time.monotonic()
        assert found.parent_pid == os.getpid()
        assert sleepers[1].pid not in [d.pid for d in events.deaths(since_s)]
        assert events.deaths(time.monotonic() + 1) == ()
    finally:
        events.close()
