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

"""A launch hears of each spawn before it happens."""

import os
import subprocess
import threading

from oom_sentinel.actions import spawns
import pytest


@pytest.fixture
def heard():
    """Return the command lines that a listener heard, which is forgotten in the end."""
    lines = []
    spawns.listen(lines.append)
    yield lines
    spawns.forget(lines.append)


def test_a_listener_hears_the_command_line(heard):
    """With and without a shell; whatever the words' types."""
    subprocess.run(['true', 'a  b'])
    subprocess.run('true c', shell=True)
    subprocess.run([b'true', os.curdir])
    assert heard == [('true', 'a  b'), ('/bin/sh', '-c', 'true c'), ('true', '.')]


def test_another_threads_spawn_is_not_heard(heard):
    """The listener is no more thread-safe than launch is."""
    thread = threading.Thread(target=subprocess.run, args=(['true'],))
    thread.start()
    thread.join()
    assert heard == []


def test_forgotten_is_silent(heard):
    """The hook stays, and calls nobody."""
    spawns.forget(heard.append)
    spawns.forget(heard.append)
    subprocess.run(['true'])
    assert heard == []
