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

"""`ros2 oom` and `ros2 doctor`: the same functions behind ROS 2's own tools."""

import importlib.metadata
import importlib.util
import json

from oom_sentinel.cli import main
import pytest
import trees

ENTRIES = {'ros2cli.command': 'oom', 'ros2doctor.checks': 'OomCheck',
           'ros2doctor.report': 'OomReport'}


@pytest.mark.parametrize('group', ENTRIES)
def test_every_entry_point_names_a_module_that_is_there(group):
    """Also where neither ros2cli nor ros2doctor is installed."""
    point, = (p for p in importlib.metadata.entry_points(group=group)
              if p.name == ENTRIES[group] and p.value.startswith('oom_sentinel.'))
    module, _, name = point.value.partition(':')
    spec = importlib.util.find_spec(module)
    assert spec is not None
    with open(spec.origin, encoding='utf-8') as stream:
        assert f'class {name}(' in stream.read()


@pytest.fixture
def ros2():
    """Return the `ros2` program as a function of its words."""
    cli = pytest.importorskip('ros2cli.cli', reason='ros2cli is not installed here')
    return lambda *words: cli.main(argv=[str(word) for word in words])


def test_ros2_oom_prints_what_oom_sentinel_prints(ros2, capsys, tmp_path):
    """The same document and the same exit code, options before or after the verb."""
    tree = trees.make(tmp_path / 'tree', 'overcommit_2')
    for words in (('order', '--root', tree, '--json'), ('--json', '--root', tree, 'doctor'),
                  ('status', '--root', tree)):
        code = main([str(word) for word in words])
        expected = capsys.readouterr().out
        assert ros2('oom', *words) == code
        assert capsys.readouterr().out == expected


def test_ros2_oom_refuses_in_one_line(ros2, capsys):
    """No verb, a bad argument, an unreadable tree."""
    for words, said in ((('oom',), 'which verb?'), (('oom', 'order', '-n', '0'), "'0'")):
        with pytest.raises(SystemExit) as caught:
            ros2(*words)
        err = capsys.readouterr().err
        assert caught.value.code == 2 and said in err and len(err.splitlines()) == 1
    assert ros2('oom', 'order', '--root', '/nowhere') == 2
    assert capsys.readouterr().err.startswith('ros2 oom order: --root /nowhere')


def test_ros2_doctor_counts_and_reports_our_findings(capsys, tmp_path):
    """As many as `oom_sentinel doctor` has of each severity, and all of them in the report."""
    pytest.importorskip('ros2doctor.api', reason='ros2doctor is not installed here')
    from oom_sentinel.cli import ros2_doctor
    tree = str(trees.make(tmp_path / 'tree', 'overcommit_2'))
    main(['doctor', '--json', '--root', tree])
    found = json.loads(capsys.readouterr().out)['findings']
    check, report = ros2_doctor.OomCheck(), ros2_doctor.OomReport()
    check.root = report.root = tree
    with pytest.warns(UserWarning, match='vm.overcommit_memory=0'):
        result = check.check()
    count = [f['severity'] for f in found].count
    assert (result.warning, result.error) == (count('warning'), count('error')) != (0, 0)
    assert len(report.report().items) == len(found)
    assert check.category() == report.category()
