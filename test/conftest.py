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

"""What every test may use: a private ROS domain on loopback, stand-in nodes, the node itself."""

import contextlib
import fcntl
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import pytest

with contextlib.suppress(ImportError):  # a guest or a robot may do without
    import hypothesis
    # A machine that does something else meanwhile is no failure, and every run plays the same
    # examples: HYPOTHESIS_RANDOM=1 looks for new ones, as test/fuzz does.
    hypothesis.settings.register_profile(
        'patient', deadline=None, derandomize=not os.environ.get('HYPOTHESIS_RANDOM'))
    hypothesis.settings.load_profile('patient')
pytest_plugins = ['launches']
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
# pytest-xdist sets COLUMNS; what is printed must not depend on the terminal of the tests.
for _name in ('COLUMNS', 'LINES', 'NO_COLOR'):
    os.environ.pop(_name, None)
# A shell ignores it for what it starts in the background, and so would all that tests end with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
HERE = os.path.dirname(os.path.abspath(__file__))
STANDIN = os.path.join(HERE, 'standin.py')
# An emulated guest (test/vm) is that many times slower than its host.
SLOWNESS = float(os.environ.get('OOM_SENTINEL_TEST_SLOWNESS', '1'))
TIMEOUT_S = 60.0 * SLOWNESS
# By time.monotonic(): no test is begun after it, and each left out says so.
UNTIL_S = float(os.environ.get('OOM_SENTINEL_TEST_UNTIL') or 'inf')


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Begin no further test when the time for all of them is used up."""
    if time.monotonic() > UNTIL_S:
        pytest.skip('not begun: the time for all tests is used up (OOM_SENTINEL_TEST_UNTIL)')


def wait_for(condition, what, timeout_s=TIMEOUT_S):
    """Return the first true value of the condition; fail with what was awaited."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f'not within {timeout_s:g} s: {what}')


def oom_score_adj(pid):
    """Return a process's oom_score_adj; a second read would show the end of a newer value."""
    with open(f'/proc/{pid}/oom_score_adj', 'rb', buffering=0) as stream:
        return int(stream.read(16))


def lowering_permitted():
    """Tell whether this machine lets us go below 0: most containers and CI machines do not."""
    child = subprocess.Popen(['sleep', '30'])
    try:
        with open(f'/proc/{child.pid}/oom_score_adj', 'wb', buffering=0) as stream:
            stream.write(b'-1')
        return True
    except PermissionError:
        return False
    finally:
        child.kill()
        child.wait()


def domain_lock(number):
    """Open a domain's lock file, made by whichever user came first."""
    path = f'/tmp/oom_sentinel_test_domain_{number}'
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o644))
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


@pytest.fixture(scope='session', autouse=True)
def ros_domain_id():
    """Take a ROS domain for this run alone, so that two runs at once do not meet."""
    numbers = list(range(1, 102))
    random.shuffle(numbers)
    for number in numbers:
        lock = domain_lock(number)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.environ['ROS_DOMAIN_ID'] = str(number)
            yield number
            os.close(lock)
            return
        os.close(lock)
    pytest.fail('no free ROS domain')


@pytest.fixture(autouse=True)
def own_value():
    """Begin each test at 0, where a sentinel of this user has raised this process meanwhile."""
    with contextlib.suppress(PermissionError):  # below the floor that it was started with
        if oom_score_adj('self') > 0:
            with open('/proc/self/oom_score_adj', 'wb', buffering=0) as stream:
                stream.write(b'0')


@pytest.fixture(autouse=True)
def own_runtime_dir(tmp_path, monkeypatch):
    """Give each test a state directory and a ROS home of its own; look at its logs at the end."""
    for name in ('XDG_RUNTIME_DIR', 'ROS_HOME', 'OOM_SENTINEL_STATE'):
        folder = tmp_path / name.lower()
        folder.mkdir(mode=0o700)
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'ros_home'))
    yield
    for log in (*tmp_path.glob('log*'), *(tmp_path / 'ros_home').rglob('*.log')):
        assert_clean(log.read_text(errors='replace'), log.name)


# A launch that ends while Python itself still imports in a child of it.
INTERRUPTED_START = re.compile(
    r'^\[[\w.]+-\d+\] Traceback \(most recent call last\):\n(?:(?!.*Traceback).*\n)*?'
    r'\[[\w.]+-\d+\] KeyboardInterrupt$', re.M)


def assert_clean(said, name='the node'):
    """Fail when a log shows that something went wrong inside the node."""
    said = INTERRUPTED_START.sub('', said)
    for words in ('Traceback (most recent call last)', 'a cycle failed'):
        assert words not in said, f'{words!r} in the log of {name}:\n{said}'


class Robot:
    """Stand-in processes below a prefix of their own, ended at the end of the test."""

    def __init__(self, prefix):
        """Keep the prefix."""
        self.prefix = prefix
        self.children = []

    def command(self, package, name, *, node=None, ros=True, mib=0, leak_mib_s=0.0, go=None):
        """Return the command line of one: lib/PKG/NAME --ros-args -r __node:=NODE."""
        program = self.prefix / 'lib' / package / name
        program.parent.mkdir(parents=True, exist_ok=True)
        if not program.exists():
            with open(STANDIN, encoding='utf-8') as stream:
                program.write_text(f'#!{os.path.realpath("/usr/bin/env")} python3\n'
                                   + stream.read())
            program.chmod(0o755)
        # Without site: it takes ten times as long as the rest of the start, in a guest 1.4 s.
        command = [sys.executable, '-IS', str(program), str(mib), str(leak_mib_s),
                   str(go or '-')]
        if ros:
            command += ['--ros-args'] + (['-r', f'__node:={node}'] if node else [])
        return command

    def start(self, package, name, *, preexec=None, env=None, command_prefix=(), **more):
        """Start one (see command) and wait until it holds its memory."""
        command = [*command_prefix, *self.command(package, name, **more)]
        child = subprocess.Popen(command, preexec_fn=preexec, env=env,
                                 stdout=subprocess.PIPE)
        self.children.append(child)
        assert child.stdout.readline() == b'ready\n'
        return child

    def end(self):
        """Kill and reap every child."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
            child.stdout.close()


@pytest.fixture
def utc(monkeypatch):
    """Let local time be UTC."""
    monkeypatch.setenv('TZ', 'UTC')
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def robot(tmp_path):
    """Return a robot without any process yet."""
    made = Robot(tmp_path / 'robot')
    yield made
    made.end()


def program(name):
    """Return the path of one of our programs: of colcon's prefix, else beside the interpreter."""
    prefixes = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    found = [os.path.join(prefix, 'lib', 'oom_sentinel', name) for prefix in prefixes]
    beside = os.path.join(os.path.dirname(sys.executable), name)
    return next((path for path in found if os.path.exists(path)), beside)


@contextlib.contextmanager
def running_sentinel(parameters, *, env=None, command_prefix=(), remaps=()):
    """
    Run the real node with these parameters and yield its process.

    Only ROS processes of this run's domain are raised, unless the parameters say otherwise: the
    user's other processes may be those of another run.
    """
    parameters = {'protection.raise': 'ros', **parameters}
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
        import json
        json.dump({'/**': {'ros__parameters': parameters}}, file)
        file.flush()
        os.chmod(file.name, 0o644)
        command = [*command_prefix, program('oom_sentinel_node'), '--ros-args',
                   '--params-file', file.name, *remaps]
        descriptor, said = tempfile.mkstemp('.log', 'output_', os.environ.get('ROS_HOME'))
        child = subprocess.Popen(command, env=env, stdout=descriptor, stderr=subprocess.STDOUT)
        os.close(descriptor)
        child.stdout = open(said, 'rb')  # noqa: SIM115 - what it said so far, without waiting
        try:
            yield child
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                try:
                    child.wait(15)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
            child.stdout.close()
            with open(said, errors='replace') as stream:
                print(stream.read())  # shown when the test fails
