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

"""The command line: documents, exit codes and one line on standard error, whatever comes in."""

import contextlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys

import capture
from conftest import oom_score_adj
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from oom_sentinel import settings
from oom_sentinel.cli import main
from oom_sentinel.cli import output
from oom_sentinel.cli import plan
from oom_sentinel.cli import tree
from oom_sentinel.cli.order import group_namer
from oom_sentinel.cli.output import Unusable
from oom_sentinel.cli.plan import Permission
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.protection import Target
from oom_sentinel.settings.parameter_file import means
import pytest

ROOT = pathlib.Path(__file__).parents[3]
ROBOT = ROOT / 'test' / 'fixtures' / 'vm-debian12-6.18'  # 512 MiB in /robot, of 24 GB
DEFAULTS = ROOT / 'config' / 'oom_sentinel.yaml'
ORDER_KEYS = [
    'rank', 'pid', 'start_time', 'comm', 'cmdline', 'node_names', 'package', 'executable',
    'group', 'rss_bytes', 'swap_bytes', 'page_table_bytes', 'oom_score_adj', 'badness',
    'oom_score', 'predicted_oom_score', 'cgroup']
PLAN_KEYS = ['pid', 'start_time', 'comm', 'node_names', 'group', 'from', 'wanted',
             'achievable', 'why']


def run(capsys, *words, code=0):
    """Run a verb and return what it printed."""
    assert main([str(word) for word in words]) == code
    return capsys.readouterr()


def order(capsys, *words):
    """Return the order's JSON document."""
    return json.loads(run(capsys, 'order', '--json', *words).out)


def params_file(folder, text):
    """Write a parameter file and return its path."""
    path = folder / 'params.yaml'
    path.write_text(text)
    return path


# order

def test_the_order_of_a_robot_is_a_document_with_exactly_the_promised_keys(capsys):
    """INTERFACE.md is the contract."""
    document = order(capsys, '--root', ROBOT)
    assert list(document) == ['host', 'time', 'totalpages', 'page_size', 'processes']
    assert (document['host'], document['page_size']) == ('vm', 4096)
    assert document['time'] == json.loads((ROBOT / 'capture.json').read_text())['wall_s']
    assert all(list(process) == ORDER_KEYS for process in document['processes'])
    first, second = document['processes'][:2]
    assert (first['rank'], first['executable'], first['node_names'], first['group']) == (
        1, 'rviz2', ['/rviz2'], 'expendable')
    assert (second['package'], second['cgroup']) == ('foxglove_bridge', '/robot')
    assert first['badness'] > second['badness']


def test_a_cgroup_has_its_own_totalpages_and_members(capsys):
    """In a small group the same oom_score_adj weighs less; the exported score stays global."""
    inside = order(capsys, '--root', ROBOT, '--cgroup', '/robot')
    assert inside['totalpages'] == (512 << 20) // 4096
    whole = {p['pid']: p for p in order(capsys, '--root', ROBOT)['processes']}
    for process in inside['processes']:
        assert process['predicted_oom_score'] == process['oom_score']
        assert process['badness'] <= whole[process['pid']]['badness']
    rviz = inside['processes'][0]
    held = sum(rviz[k] // 4096 for k in ('rss_bytes', 'swap_bytes', 'page_table_bytes'))
    assert rviz['badness'] == held + 300 * 131


@pytest.mark.parametrize('path', ['robot', '/robot/', '/sys/fs/cgroup/memory/robot'])
def test_a_cgroup_path_in_any_spelling(capsys, path):
    """With and without slashes, and with the mount as a shell completes it."""
    assert order(capsys, '--root', ROBOT, '--cgroup', path)['totalpages'] == 131072


def test_minus_n_shortens_table_and_document(capsys):
    """The first N, the heading aside."""
    assert len(order(capsys, '--root', ROBOT, '-n', 3)['processes']) == 3
    lines = run(capsys, 'order', '--root', ROBOT, '-n', 3).out.splitlines()
    assert len(lines) == 5 and lines[0].startswith('RANK') and lines[-1].startswith('BADNESS')


def test_groups_come_from_a_parameter_file_when_one_is_given(capsys, tmp_path):
    """The same processes in other groups."""
    path = params_file(tmp_path, '/**:\n  ros__parameters:\n    groups: [eyes]\n'
                                 '    group.eyes.match: [/robot1/camera]\n')
    document = order(capsys, '--root', ROBOT, '--params-file', path)
    assert {p['executable'] for p in document['processes'] if p['group'] == 'eyes'} == {
        'usb_cam_node_exe'}
    assert {p['group'] for p in document['processes']} == {'eyes', None}


@pytest.mark.parametrize('same, group', [(True, 'navigation'), (None, 'navigation'),
                                         (False, None)])
def test_a_node_in_a_container_has_no_group_outside_of_it(same, group):
    """The node leaves processes of another PID namespace alone; unknown is no container."""
    amcl = Process(7, 1, 1, 1000, Program('amcl', executable='amcl', package='nav2_amcl',
                                          ros=True), same_pid_namespace=same)
    assert group_namer(settings.build({}))(amcl) == group


def test_the_unkillable_come_last_and_without_a_rank(capsys, tmp_path):
    """-1000 is never chosen."""
    tree = tmp_path / 'tree'
    shutil.copytree(ROBOT, tree, symlinks=True)
    pid = order(capsys, '--root', tree)['processes'][0]['pid']
    (tree / f'proc/{pid}/oom_score_adj').write_text('-1000\n')
    last = order(capsys, '--root', tree)['processes'][-1]
    assert (last['pid'], last['rank'], last['badness'], last['predicted_oom_score']) == (
        pid, None, None, 0)
    table = run(capsys, 'order', '--root', tree).out.splitlines()
    assert table[-2].split()[0] == '-' and 'never' in table[-2].split()


def test_the_live_order_is_the_kernels(capsys):
    """This test's own process stands in it, with its own score."""
    document = order(capsys)
    own = next(p for p in document['processes'] if p['pid'] == os.getpid())
    assert own['oom_score_adj'] == oom_score_adj(os.getpid()) and own['rss_bytes'] > 1 << 20
    ranks = [p['rank'] for p in document['processes'] if p['rank'] is not None]
    assert ranks == list(range(1, len(ranks) + 1))


# plan

def test_the_plan_of_a_robot_says_what_is_not_sure(capsys):
    """A captured tree cannot tell whether lowering is permitted: unknown, exit code 1."""
    words = ('plan', '--root', ROBOT, '--params-file', DEFAULTS)
    found = json.loads(run(capsys, *words, '--json', code=1).out)['adjustments']
    assert all(list(entry) == PLAN_KEYS for entry in found)
    by_name = {(e['node_names'] or [e['comm']])[0]: e for e in found}
    amcl = by_name['/amcl']
    assert (amcl['group'], amcl['from'], amcl['wanted'], amcl['achievable']) == (
        'navigation', 0, -300, None)
    assert '/rviz2' not in by_name, 'it has the wanted 300 already'
    text = run(capsys, *words, code=1).out
    assert 'turtlebot3_ros' in text and 'unknown' in text and 'OOMScoreAdjust' in text


def test_a_plan_that_only_raises_is_achievable(capsys, tmp_path):
    """Raising is free: exit code 0."""
    path = params_file(tmp_path, 'oom_sentinel:\n  ros__parameters:\n    groups: [a]\n'
                                 "    group: {a: {match: ['/slam_toolbox'], "
                                 'oom_score_adj: 200}}\n')
    out = run(capsys, 'plan', '--root', ROBOT, '--params-file', path, '--json').out
    entry, = json.loads(out)['adjustments']
    assert (entry['from'], entry['wanted'], entry['achievable']) == (0, 200, 200)


def test_a_plan_changes_nothing_on_the_live_machine(capsys, tmp_path):
    """It names the process and leaves its value alone."""
    child = subprocess.Popen(['sleep', '60'])
    try:
        path = params_file(tmp_path, '/**:\n  ros__parameters:\n    groups: [a]\n'
                                     "    group: {a: {match: ['cmd:sleep 60'], "
                                     'oom_score_adj: 900}}\n')
        out = run(capsys, 'plan', '--params-file', path, '--json').out
        entry = next(e for e in json.loads(out)['adjustments'] if e['pid'] == child.pid)
        assert (entry['wanted'], entry['achievable']) == (900, 900)
        assert oom_score_adj(child.pid) == entry['from'] != 900
    finally:
        child.kill()
        child.wait()


def test_a_denied_plan_shows_who_would_be_raised_and_ends_with_1(monkeypatch, capsys, tmp_path):
    """Where lowering is denied another process of this user is raised in its place."""
    if oom_score_adj(os.getpid()) > 40:
        pytest.skip('what is started here has a high oom_score_adj already')
    monkeypatch.setattr(plan, '_permission', lambda reading: Permission(os.geteuid(), False, 0))
    critical, other = subprocess.Popen(['sleep', '61']), subprocess.Popen(['sleep', '62'])
    try:
        path = params_file(tmp_path, '/**:\n  ros__parameters:\n    groups: [a]\n'
                                     "    group: {a: {match: ['cmd:sleep 61'], "
                                     'oom_score_adj: -300}}\n')
        out = run(capsys, 'plan', '--params-file', path, '--json', code=1).out
        found = {entry['pid']: entry for entry in json.loads(out)['adjustments']}
        assert (found[critical.pid]['wanted'], found[critical.pid]['group']) == (-300, 'a')
        assert found[critical.pid]['achievable'] == min(0, found[critical.pid]['from'])
        if other.pid not in found:  # a sentinel that runs beside the tests has raised it already
            assert oom_score_adj(other.pid) > 0
            pytest.skip('a sentinel on this machine raises what the test starts')
        raised = found[other.pid]
        assert raised['wanted'] == raised['achievable'] > 0 and raised['group'] is None
        assert 'raised because lowering' in raised['why']
    finally:
        for child in (critical, other):
            child.kill()
            child.wait()


def test_nothing_to_change_is_said(capsys, tmp_path):
    """Exit code 0 and a sentence."""
    path = params_file(tmp_path, '/**:\n  ros__parameters:\n    groups: []\n')
    assert 'Nothing to change' in run(
        capsys, 'plan', '--root', ROBOT, '--params-file', path).out


def test_notes_on_the_parameters_come_with_the_plan(capsys, tmp_path):
    """Whoever wants -1000 learns what becomes of it."""
    path = params_file(tmp_path, '/**:\n  ros__parameters:\n    groups: [a]\n'
                                 "    group: {a: {match: ['/amcl'], oom_score_adj: -1000}}\n")
    text = run(capsys, 'plan', '--root', ROBOT, '--params-file', path, code=1).out
    assert '-1000 is written as -999' in text


@pytest.mark.parametrize('uid, lower, floor, value, achievable', [
    (1000, False, None, 300, 300), (1000, False, None, -500, None),
    (1000, True, None, -500, -500), (0, True, None, -500, -500), (1001, True, -999, 300, 0),
    (1001, False, None, -500, 0), (None, False, None, -500, None),
    (1000, False, -300, -500, -300), (1000, False, 200, -500, 0)])
def test_what_is_known_of_permission_without_writing(uid, lower, floor, value, achievable):
    """Raising one's own is free, another's is denied, lowering ends at the floor."""
    process = Process(7, 1, 1, 1000, Program('x'), oom_score_adj=0)
    found, why = Permission(uid, lower, floor).achievable(Target(process, 'a', value, value, ''))
    assert found == achievable and bool(why) == (achievable != value)


def test_a_value_above_the_floor_is_possible_and_the_floor_is_named():
    """What another service started may have another floor: the text names which one is meant."""
    process = Process(7, 1, 1, 1000, Program('x'), oom_score_adj=0)
    found, why = Permission(1000, False, -500).achievable(Target(process, 'a', -300, -300, ''))
    assert found == -300 and 'floor -500' in why


# parameter files

@pytest.mark.parametrize('key, meant', [
    ('/**', True), ('**', True), ('/*', True), ('*', True), ('oom_sentinel', True),
    ('/oom_sentinel', True), ('/**/oom_sentinel', True), ('/*/oom_sentinel', False),
    ('/robot1/oom_sentinel', False), ('/robot1/**', False), ('/amcl', False), ('/', False)])
def test_node_keys_as_rcl_matches_them(key, meant):
    """`*` is one token, `**` any number of tokens."""
    assert means('/' + key.strip('/')) == meant


@pytest.mark.parametrize('text', [
    'oom_sentinel:\n  ros__parameters:\n    memory.available_warn_percent: 20',
    '/oom_sentinel:\n  ros__parameters:\n    memory:\n      available_warn_percent: 20',
    '/**:\n  ros__parameters: {memory: {available_warn_percent: 20}}',
    '/**:\n  oom_sentinel:\n    ros__parameters: {memory.available_warn_percent: 20}',
    'robot1:\n  oom_sentinel:\n    ros__parameters: {memory.available_warn_percent: 20}',
    '/robot1/oom_sentinel: {ros__parameters: {memory.available_warn_percent: 20}}',
    'oom_sentinel: {ros__parameters: {memory.available_warn_percent: 30}}\n'
    '/**: {ros__parameters: {memory.available_warn_percent: 20}}'])
def test_every_shape_of_parameter_file(tmp_path, text, capsys):
    """Nested or dotted, wildcard or name, in one namespace; what comes later wins, as in rcl."""
    settings = tree.read_settings(str(params_file(tmp_path, text)))
    assert settings.memory_available_warn_percent == 20.0
    assert capsys.readouterr().err == ''


def test_a_file_for_other_nodes_only_is_refused(tmp_path, capsys):
    """An answer by the defaults would be wrong; the names that the file has are named."""
    path = params_file(tmp_path, '/amcl: {ros__parameters: {hold_s: 3}}')
    err = run(capsys, 'plan', '--root', ROBOT, '--params-file', path, code=2).err
    assert 'nothing for /oom_sentinel' in err and '/amcl' in err and len(err.splitlines()) == 1


def test_an_unknown_parameter_is_a_warning_with_the_nearest_name(tmp_path, capsys):
    """What rclpy itself declares is known."""
    path = params_file(tmp_path, '/**: {ros__parameters: {scan_perod: 3, use_sim_time: true}}')
    tree.read_settings(str(path))
    assert 'scan_perod is unknown; did you mean scan_period?' in capsys.readouterr().err


BAD_FILES = [
    '[' * 5000, 'a: 2024-99-99', '&a {b: *a}', '/**: {ros__parameters: &a {b: *a}}', '- 1',
    'a: !!int ""', '!!int x', '? [a]\n: b', 'x: 1', 'a: [', '!!python/object:os.x {}',
    '/**: {ros__parameters: null}', '/**: {ros__parameters: {hold_s: .nan}}',
    '/**: {ros__parameters: {groups: 2024-01-01}}', '/**: {ros__parameters: {scan_perod: 1, '
    'scan_period: 99}}', '/**: {ros__parameters: {group: {drivers: {match: [nod:x]}}}}']


@pytest.mark.parametrize('text', BAD_FILES, ids=lambda text: text[:20])
def test_a_bad_parameter_file_is_exit_code_2_and_one_line(tmp_path, capsys, text):
    """The line names the file."""
    path = params_file(tmp_path, text)
    err = run(capsys, 'plan', '--root', ROBOT, '--params-file', path, code=2).err
    assert str(path) in err and len(err.splitlines()) == 1


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(blacklist_categories=('Cs',))) | st.text('{}[]&*!?:-|>#"\'\n ax1~'))
def test_arbitrary_parameter_files_raise_nothing_else(tmp_path, text):
    """Any text is settings or one refusal."""
    with contextlib.suppress(Unusable):
        tree.read_settings(str(params_file(tmp_path, text)))


def test_without_pyyaml_it_is_said(tmp_path, capsys, monkeypatch):
    """And how to get it; `order` goes on without."""
    monkeypatch.setitem(sys.modules, 'yaml', None)
    path = params_file(tmp_path, '/**: {ros__parameters: {}}')
    err = run(capsys, 'plan', '--params-file', path, code=2).err
    assert 'python3-yaml' in err
    assert order(capsys, '--root', ROBOT)['processes']


# usage and output

@pytest.mark.parametrize('words, said', [
    (['dance'], "'order', 'plan'"), ([], 'order, plan'), (['ordr'], 'did you mean order?'),
    (['order', '--jsn'], 'did you mean --json?'), (['order', '--js'], 'did you mean --json?'),
    (['order', '-n', '0'], "'0'"),
    (['order', '-n', '\u00b2'], '-n'), (['plan'], '--params-file'),
    (['order', '--color', 'pink'], 'pink'), (['order', '--frob'], '--frob')])
def test_usage_is_exit_code_2_and_one_line(words, said, capsys):
    """What is wrong, and which verbs there are."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    err = capsys.readouterr().err
    assert caught.value.code == 2 and said in err and len(err.splitlines()) == 1


@pytest.mark.parametrize('words, said', [
    (['order', '--root', '/nowhere'], '/nowhere'),
    (['order', '--root', ROBOT, '--cgroup', '/none'], '/none'),
    (['order', '--root', ROBOT, '--cgroup', '/robot/../../..'], '--cgroup'),
    (['plan', '--params-file', '/nowhere.yaml'], '/nowhere.yaml'),
    (['plan', '--params-file', '/'], '/')])
def test_unreadable_input_is_exit_code_2_and_one_line(words, said, capsys):
    """What and where."""
    err = run(capsys, *words, code=2).err
    assert said in err and len(err.splitlines()) == 1


def test_a_tree_without_meminfo_or_proc_is_unreadable(tmp_path, capsys):
    """The missing file is named."""
    (tmp_path / 'capture.json').write_text((ROBOT / 'capture.json').read_text())
    assert 'meminfo' in run(capsys, 'order', '--root', tmp_path, code=2).err
    (tmp_path / 'proc').mkdir()
    (tmp_path / 'proc/meminfo').write_text((ROBOT / 'proc/meminfo').read_text())
    assert order(capsys, '--root', tmp_path)['processes'] == []


def test_common_options_stand_before_or_after_the_verb(capsys):
    """Both orders are typed."""
    one = run(capsys, '--json', '--root', ROBOT, 'order').out
    assert one == run(capsys, 'order', '--json', '--root', ROBOT).out


@pytest.mark.parametrize('choice, colored', [('always', True), ('never', False), ('auto', False)])
def test_color_is_for_terminals_unless_asked_for(choice, colored, capsys):
    """A pipe is no terminal."""
    assert ('\x1b[' in run(capsys, 'order', '--root', ROBOT, '--color', choice).out) == colored


def test_a_terminal_without_utf8_gets_escapes(monkeypatch):
    """No name ends the program."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding='ascii')
    monkeypatch.setattr(sys, 'stdout', stream)
    output.say('caf\u00e9')
    stream.flush()
    assert stream.buffer.getvalue() == b'caf\\xe9\n'


@given(st.text())
def test_a_shown_name_cannot_disturb_a_terminal(text):
    """Printable, on one line, and short."""
    shown = output.shown(text)
    assert len(shown) <= 40 and shown.isprintable() and len(shown.splitlines()) <= 1


def test_a_reader_that_leaves_early_is_no_error():
    """`oom_sentinel order --json | head -1`."""
    done = subprocess.run(
        ['sh', '-c', '{ "$0" -m oom_sentinel.cli order --json; echo $? >&2; } | head -c 1',
         sys.executable], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr.strip()) == ('{', '0')


# captures

def test_a_capture_of_this_machine_is_a_tree(tmp_path, capsys):
    """It reads like the live machine, predicts its scores and holds no environment."""
    tree = tmp_path / 'board-distro-1.0'
    assert 1 <= capture.capture(tree, most=25) <= 25
    document = order(capsys, '--root', tree)
    assert document['page_size'] == os.sysconf('SC_PAGE_SIZE')
    assert 1 <= len(document['processes']) <= 25
    names = {path.name for path in tree.rglob('*')}
    assert {'meminfo', 'status', 'oom_score'} <= names
    assert not names & {'environ', 'maps', 'mem', 'boot_id'}


@pytest.mark.parametrize('fixture', sorted(p.parent for p in ROBOT.parent.glob('*/proc')),
                         ids=lambda f: f.name)
def test_the_kept_captures_are_small_and_without_secrets(fixture):
    """At most 60 processes and 1 MB, no environment, and no link that leads anywhere."""
    assert [path for path in fixture.rglob('*') if path.is_symlink()] == []
    files = [path for path in fixture.rglob('*') if path.is_file()]
    assert len([p for p in (fixture / 'proc').iterdir() if p.name.isdigit()]) <= 60
    assert sum(path.stat().st_size for path in files) < 1 << 20
    assert not {path.name for path in files} & {'environ', 'maps', 'boot_id'}


@pytest.mark.parametrize('words, kept', [
    ('x --password hunter2 -v', 'x --password STRUCK_OUT -v'),
    ('x --api-key=abc y', 'x --api-key=STRUCK_OUT y'), ('x token=abc', 'x token=STRUCK_OUT'),
    ('x http://me:abc@host/p', 'x http://me:STRUCK_OUT@host/p'),
    ('x --ros-args -r __node:=amcl', 'x --ros-args -r __node:=amcl'),
    ('x --keyboard us', 'x --keyboard us')])
def test_secrets_are_struck_out_of_command_lines(words, kept):
    """Whatever else stands there is kept."""
    assert capture.scrubbed('\0'.join(words.split()).encode()) == '\0'.join(
        kept.split()).encode()
