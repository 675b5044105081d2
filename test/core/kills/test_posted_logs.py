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

"""Logs as people post them: envelopes, cut and wrapped lines, true causes, one test a file."""

import json
import pathlib

from oom_sentinel.cli import main
import pytest

CASES = pathlib.Path(__file__).parents[2] / 'fixtures' / 'kernel_logs'
# What the expected files say to their reader, not of the document.
READER = {'why', 'kind', 'killer', 'cgroup', 'processes', 'tasks_count', 'disagreement_contains',
          'why_must_not_say'}


@pytest.fixture(autouse=True)
def utc(tmp_path, monkeypatch):
    """Read dates without an offset as UTC, and no incident of this machine."""
    monkeypatch.setenv('TZ', 'UTC')
    monkeypatch.setenv('ROS_HOME', str(tmp_path / 'ros'))


@pytest.mark.parametrize('path', sorted(CASES.glob('*.expected.json')),
                         ids=lambda p: p.name.removesuffix('.expected.json'))
def test_a_posted_log_is_told_as_expected(path, capsys):
    """Every kill once, with the facts that the log holds and no others."""
    log = str(path).removesuffix('.expected.json')
    expected = json.loads(path.read_text(encoding='utf-8'))['kills']
    assert main(['kills', '--json', '--file', log]) == 1
    kills = json.loads(capsys.readouterr().out)['kills']
    assert len(kills) == len(expected)
    main(['kills', '-v', '--file', log])
    text = capsys.readouterr().out
    for kill, want in zip(kills, expected):
        assert {key: kill[key] for key in want if key not in READER} == {
            key: value for key, value in want.items() if key not in READER}
        assert want.get('disagreement_contains', '') in (kill['disagreement'] or '')
        assert want.get('why_must_not_say', '\0') not in text
        assert kill.get('kind', 'kernel') == want.get('kind', 'kernel')
        for key in ('killer', 'cgroup', 'processes'):
            assert kill.get(key) == want.get(key, kill.get(key))
