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

"""No peer on the ROS domain stops, bloats or moves the node, whatever it sends or is called."""

from fnmatch import fnmatchcase
import os
import pathlib
import subprocess
import sys
import threading
from types import SimpleNamespace
from xml.etree import ElementTree

from conftest import oom_score_adj
from conftest import running_sentinel
from conftest import TIMEOUT_S
from conftest import wait_for
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
sys.path.insert(0, os.path.dirname(__file__))
from observer import Observer  # noqa: E402,I100
from rcl_interfaces.msg import Parameter  # noqa: E402
from rcl_interfaces.msg import ParameterDescriptor  # noqa: E402
from rcl_interfaces.msg import ParameterValue  # noqa: E402
from rcl_interfaces.srv import ListParameters  # noqa: E402
from rclpy.parameter import Parameter as RclpyParameter  # noqa: E402

FAST = {'scan_period': 0.2, 'publish_period': 0.2}
HERE = pathlib.Path(__file__).parent


@pytest.fixture
def observer():
    """Return an observer that is closed in the end."""
    made = Observer()
    yield made
    made.close()


def goes_on(observer):
    """Wait for ten more messages."""
    before = len(observer.arrays)
    observer.until(lambda: len(observer.arrays) >= before + 10, 'it goes on publishing')


def text(name, value):
    """Return a parameter message with a list of strings."""
    return RclpyParameter(name, RclpyParameter.Type.STRING_ARRAY, value).to_parameter_msg()


@pytest.mark.parametrize('atomically', [False, True])
def test_a_value_of_unknown_type_is_refused(observer, atomically):
    """For it rclpy raises ValueError out of spin_once."""
    with running_sentinel(FAST) as sentinel:
        strange = Parameter(name='hold_s', value=ParameterValue(type=99))
        result = observer.set_messages([strange], atomically)[0]
        assert not result.successful and 'hold_s' in result.reason and '99' in result.reason
        goes_on(observer)
        assert sentinel.poll() is None


def test_requests_of_any_size_are_answered(observer):
    """Of a thousand names and a megabyte of stars; each refusal names what is allowed."""
    with running_sentinel(FAST):
        many = [Parameter(name=f'group.x{i}.match') for i in range(3000)]
        assert '1000' in observer.set_messages(many)[0].reason
        assert '1000' in observer.set_messages(many, True)[0].reason
        reason = observer.set_messages([text('group.drivers.match', ['exe:' + 'a*' * 500_000])]
                                       )[0].reason
        assert 'group.drivers.match' in reason and '1024 bytes' in reason and len(reason) < 300
        unknown = observer.set_messages([text(f'group.drivrs.match{i}', []) for i in range(900)])
        assert len(unknown) == 900 and 'no such parameter' in unknown[0].reason
        goes_on(observer)


def resident_mib(child):
    """Return the resident memory of a process."""
    with open(f'/proc/{child.pid}/statm', encoding='ascii') as stream:
        return int(stream.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') >> 20


def test_large_requests_are_refused_and_their_memory_is_given_back(observer):
    """Ten of 28 MB: the middleware keeps one until the services are created anew."""
    with running_sentinel(FAST) as sentinel:
        goes_on(observer)
        before_mib = resident_mib(sentinel)
        large = text('group.drivers.match', ['exe:' + 'a*' * 14_000_000])
        for _ in range(10):
            assert '1024 bytes' in observer.set_messages([large])[0].reason
        observer.until(lambda: resident_mib(sentinel) < before_mib + 28 // 2,
                       'half of one request is given back', 2 * TIMEOUT_S)
        assert observer.set(False, hold_s=1.0)[0].successful
        goes_on(observer)


def test_a_request_that_costs_much_lets_the_services_rest():
    """It is answered; the next one of its kind would keep the node busy for as long again."""
    from oom_sentinel.node.parameter_services import ParameterServices
    from oom_sentinel.node.parameter_services import RENEW_S
    from oom_sentinel.node.parameter_services import REST_S
    from rcl_interfaces.srv import DescribeParameters
    from rcl_interfaces.srv import SetParameters
    alive = []

    class Peer:
        """Stands for the node, whose services are counted."""

        get_name = staticmethod(lambda: 'x')
        destroy_service = staticmethod(alive.remove)

        @staticmethod
        def describe_parameter(name):
            """Describe any name."""
            return ParameterDescriptor(name=name)

        def create_service(self, _kind, name, _callback, **_more):
            """Create a service that is its name."""
            alive.append(name)
            return name
    node = Peer()
    services = ParameterServices(node, lambda error: None)
    assert len(alive) == 6 and services.tend(0.0) is None
    request = SetParameters.Request(parameters=[Parameter(name='x')] * 20_001)
    result = services._set_parameters_callback(request, SetParameters.Response()).results
    assert '20001 parameters' in result[0].reason
    assert '20001 items' in services.tend(1.0) and alive == []
    assert services.tend(REST_S) is None and alive == []
    assert services.tend(1.0 + REST_S) is None and len(alive) == 6
    for names, answers in ((['hold_s', 'groups'], 2), (['hold_s', 'hold_s'], 0)):
        assert len(services._describe_parameters_callback(DescribeParameters.Request(
            names=names), DescribeParameters.Response()).descriptors) == answers
    made, alive[:] = list(alive), []
    node.destroy_service = made.remove
    services.tend(60.0)
    services._describe_parameters_callback(
        DescribeParameters.Request(names=['x' * 100_000]), DescribeParameters.Response())
    for now_s in (61.0, 60.9 + RENEW_S):  # the sender of several is answered first
        services.tend(now_s)
    assert alive == []
    services.tend(61.0 + RENEW_S)
    assert made == [] and len(alive) == 6
    node.destroy_service = alive.remove
    services.tend(70.0 + 2 * RENEW_S)
    assert len(alive) == 6, 'once for each large one'


def test_a_node_is_found_beside_one_whose_name_is_not_utf_8(tmp_path):
    """No names can be listed then; the topic of its parameter service names it."""
    script = tmp_path / 'plain.py'
    script.write_text('import rclpy\nrclpy.init()\nn = rclpy.create_node("localiser")\n'
                      'print(1, flush=True)\nrclpy.spin(n)\n')
    parameters = {**FAST, 'groups': ['named'], 'group.named.match': ['node:/localiser'],
                  'group.named.oom_score_adj': 250}
    started = []
    with running_sentinel(parameters):
        try:
            for command in ([str(HERE / 'bad_name.py'), '60'], [str(script)]):
                started.append(subprocess.Popen([sys.executable, *command], stdin=None,
                                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
                assert started[-1].stdout.readline()
            wait_for(lambda: oom_score_adj(started[1].pid) == 250, 'the node is found')
        finally:
            for child in started:
                child.kill()
                child.wait()
                child.stdout.close()


def test_a_node_name_that_is_not_utf_8_stops_nothing(observer):
    """Whoever asks the graph for names gets UnicodeDecodeError as long as that node lives."""
    with running_sentinel(FAST) as sentinel:
        peer = subprocess.Popen([sys.executable, str(HERE / 'bad_name.py'), '15'],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert peer.stdout.readline() == b'announced\n'
            goes_on(observer)
            goes_on(observer)
            assert sentinel.poll() is None
        finally:
            peer.kill()
            peer.wait()
            peer.stdout.close()


def test_a_container_whose_node_name_is_no_ros_name_is_not_asked(observer, tmp_path):
    """A client of an impossible service name raises."""
    program = tmp_path / 'component_container'
    program.write_text(f'#!{os.path.realpath(sys.executable)} -I\nimport time\ntime.sleep(600)\n')
    program.chmod(0o755)
    with running_sentinel(FAST):
        child = subprocess.Popen([str(program), '--ros-args', '-r', '__node:=a b'])
        try:
            goes_on(observer)
            goes_on(observer)
            assert 'unavailable (' not in observer.status('Protection').message
        finally:
            child.kill()
            child.wait()


def test_a_node_without_rosout_is_found_by_its_other_endpoints(observer, tmp_path):
    """enable_rosout=False is usual where bandwidth is short."""
    script = tmp_path / 'bare.py'
    script.write_text('import rclpy\nrclpy.init()\nn = rclpy.create_node("localiser", '
                      'enable_rosout=False)\nprint(1, flush=True)\nrclpy.spin(n)\n')
    parameters = {**FAST, 'groups': ['named'], 'group.named.match': ['node:/localiser'],
                  'group.named.oom_score_adj': 250}
    with running_sentinel(parameters):
        child = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
        try:
            child.stdout.readline()
            wait_for(lambda: oom_score_adj(child.pid) == 250, 'the node is found')
        finally:
            child.kill()
            child.wait()
            child.stdout.close()


def test_locked_parameters_refuse_every_change_and_restore(observer, robot):
    """parameters.locked: what others ask for stays without effect."""
    with running_sentinel({**FAST, 'parameters.locked': True}):
        recorder = robot.start('rosbag2_transport', 'recorder')
        wait_for(lambda: oom_score_adj(recorder.pid) == 300, 'the recorder is raised')
        for atomically in (False, True):
            result = observer.set(atomically, hold_s=1.0)[0]
            assert not result.successful and 'parameters.locked' in result.reason
        assert observer.get('hold_s') == 5.0
        answer = observer.trigger('restore')
        assert not answer.success and 'parameters.locked' in answer.message
        assert oom_score_adj(recorder.pid) == 300
        assert observer.trigger('apply').success


def test_the_security_policy_allows_all_that_the_node_offers(observer):
    """With SROS 2 the node would otherwise not start, or be silent on a topic."""
    policy = ElementTree.parse(HERE.parents[1] / 'config' / 'sros2' / 'policy.xml')

    def allowed(kind, permission):
        return [f'/oom_sentinel{e.text[1:]}' if e.text.startswith('~') else e.text
                for below in policy.iter(kind) if permission in below.attrib for e in below]
    with running_sentinel({**FAST, 'shed.mode': 'act'}):
        goes_on(observer)
        node = observer.node
        own = ('oom_sentinel', '/')
        published = node.get_publisher_names_and_types_by_node(*own)
        offered = node.get_service_names_and_types_by_node(*own)
    assert len(published) > 8 and len(offered) > 8
    for found, patterns in ((published, allowed('topics', 'publish')),
                            (offered, allowed('services', 'reply'))):
        assert [name for name, _ in found
                if not any(fnmatchcase(name, pattern) for pattern in patterns)] == []


def test_a_request_is_answered_between_two_cycles_never_within_one(monkeypatch):
    """The executor has a thread of its own; both work on the same sentinel."""
    from oom_sentinel.node.node import OomSentinel
    from rclpy.node import Node
    created = []
    monkeypatch.setattr(Node, 'create_service', lambda self, kind, name, answer: created.append(
        answer))
    node = OomSentinel.__new__(OomSentinel)
    node.busy, answered = threading.RLock(), threading.Event()
    node.create_service(object, '~/apply', lambda _request, response: answered.set() or response)
    with node.busy:  # as in a cycle
        thread = threading.Thread(target=created[0], args=('request', 'response'))
        thread.start()
        assert not answered.wait(0.3)
    assert answered.wait(10)
    thread.join()


def test_an_answer_can_be_sent_whatever_a_process_is_called():
    """A program file need not have a name in UTF-8; rclpy raises for it and answers nobody."""
    from oom_sentinel.node.node import OomSentinel
    from std_srvs.srv import Trigger

    def fail():
        raise ValueError('rec\udcff')
    complained = []
    node = SimpleNamespace(complain=complained.append)
    for work, success in (lambda: (True, 'rec\udcff was ended'), True), (fail, False):
        answer = OomSentinel._answer(node, Trigger.Response(), work)
        assert answer.success is success and 'rec\\udcff' in answer.message
        answer.message.encode()
    assert len(complained) == 1


def test_requests_without_a_pause_get_a_share_of_a_core():
    """A burst is answered at once; then the thread rests, so that cycles get Python's lock."""
    from oom_sentinel.node.program import Share
    clock, cpu = [0.0], [0.0]
    share = Share(lambda: cpu[0], lambda: clock[0])
    rested = 0.0
    for number in range(1000):  # each takes 10 ms
        clock[0], cpu[0] = clock[0] + 0.01, cpu[0] + 0.01
        rest_s = share.rest_s()
        assert number > 3 or rest_s == 0.0
        clock[0], rested = clock[0] + rest_s, rested + rest_s
    assert 0.2 < cpu[0] / clock[0] < 0.27 and rested > 0.0
    cpu[0] += 60.0
    assert share.rest_s() == 1.0
    clock[0] += 600.0
    assert share.rest_s() == 0.0


def test_cycles_go_on_while_requests_come_without_a_pause(observer):
    """Each of them takes the node for a moment; the cycle gets its turn."""
    with running_sentinel(FAST):
        goes_on(observer)
        client = observer.node.create_client(ListParameters, '/oom_sentinel/list_parameters')
        observer.until(client.service_is_ready, 'the service is there')
        before, asked = len(observer.arrays), []

        def went_on():
            asked[:] = [future for future in asked if not future.done()]
            while len(asked) < 6:
                asked.append(client.call_async(ListParameters.Request()))
            return len(observer.arrays) >= before + 10
        observer.until(went_on, 'it publishes all the same')
        observer.node.destroy_client(client)


def test_a_kernel_log_that_nothing_can_wait_for_is_read_each_cycle():
    """Some containers have /dev/null in place of /dev/kmsg."""
    from oom_sentinel.kernel.wake import Watch
    from oom_sentinel.node.kills import Kills
    node, watch = SimpleNamespace(create_publisher=lambda *_more: None), Watch()
    with open('/dev/null', 'rb') as stream:
        feed = SimpleNamespace(source=SimpleNamespace(descriptor=stream.fileno()))
        Kills(node, watch, feed, list).close()
    watch.close()


def test_a_kill_is_logged_without_control_characters():
    """A process writes its own name."""
    from oom_sentinel.facts.status import Level
    from oom_sentinel.facts.status import Status
    from oom_sentinel.node.kills import Kills
    logged = []
    log = SimpleNamespace(error=logged.append, warning=logged.append)
    node = SimpleNamespace(get_logger=lambda: log, create_publisher=lambda *_more: log)
    log.publish = lambda message: None
    kills = Kills(node, None, SimpleNamespace(source=SimpleNamespace(descriptor=None)), list)
    kills.publish(tuple(Status('OOM kills', level, '\x1b[2Jx\nkilled')
                        for level in (Level.WARN, Level.ERROR)))
    assert logged == ['\\x1b[2Jx\\x0akilled'] * 2
