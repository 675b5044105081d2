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

"""flake8, pep257, copyright, mypy, ruff (ament's where ROS is installed) and vulture."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
CODE = [str(ROOT / name)
        for name in ('oom_sentinel', 'launch', 'test', 'bench', 'demo', 'setup.py')
        if (ROOT / name).exists()]
# ament_pep257's own ignore list.
PEP257 = 'D100,D101,D102,D103,D104,D105,D106,D107,D203,D212,D404'
# What vulture cannot see in use, and who uses it.
USED_ELSEWHERE = {
    'argparse, html.parser': 'dest handle_endtag handle_starttag',
    'launch, by the name of the function': 'generate_launch_description execute',
    'launch_ros, by its entry point and protocol':
        'OomSentinelExtension node_action prepare_for_execute',
    'Python itself': '__defaults__ __delattr__ __getattr__ __kwdefaults__ __repr__ __setattr__',
    'prometheus_client, by its protocol': 'collect',
    'pytest, by name': 'pytest_plugins pytest_collection_modifyitems pytest_configure '
                       'pytest_runtest_setup pytest_runtestloop pytestmark raising_alone '
                       'whole_reports',
    'rclpy, or it must only live as long as the node':
        '_node_weak_ref _set_parameters_atomically_callback describe_parameter '
        '_set_parameters_callback floating_point_range',
    'reprlib': 'maxlevel maxlist maxother maxstring maxtuple',
    'ros2cli, by its entry point': 'OomCommand cli_name',
    'documents made of all fields of a dataclass':
        'full_avg10_percent gfp_mask some_avg10_percent',
    'nobody yet: facts that are read whole': 'avg300 dmesg_restrict free_swap_kb high_kb '
                                             'lru_gen_enabled oom_score_adjust',
}


def run(*command):
    """Run a tool of this interpreter and fail with what it printed."""
    done = subprocess.run([sys.executable, '-m', *command], cwd=ROOT, capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_flake8():
    """Style as ament_flake8 asks for it."""
    try:
        from ament_flake8.main import main_with_errors
    except ImportError:
        run('flake8', *CODE)
        return
    code, errors = main_with_errors(argv=CODE)
    assert code == 0, errors


def test_pep257():
    """Docstrings as ament_pep257 asks for them."""
    try:
        from ament_pep257.main import main
    except ImportError:
        run('pydocstyle', '--add-ignore=' + PEP257, '--match=.*\\.py', *CODE)
        return
    assert main(argv=CODE) == 0


def test_copyright():
    """Every source file says whose it is and under which licence."""
    missing = []
    for folder in CODE:
        path = pathlib.Path(folder)
        for file in ([path] if path.is_file() else sorted(path.rglob('*.py'))):
            text = file.read_text(encoding='utf-8')
            if not text.startswith('# Copyright 20') or 'Apache License, Version 2.0' not in text:
                missing.append(str(file))
    assert missing == []


def test_mypy():
    """Types hold in the package."""
    pytest.importorskip('mypy', reason='mypy is not installed here')
    run('mypy', str(ROOT / 'oom_sentinel'))


def test_ruff():
    """What ruff.toml asks for."""
    pytest.importorskip('ruff', reason='ruff is not installed here')
    run('ruff', 'check', '--no-cache', '--config', str(ROOT / 'ruff.toml'), *CODE)


def test_vulture():
    """No code is unused but what only seems so."""
    pytest.importorskip('vulture', reason='vulture is not installed here')
    done = subprocess.run([sys.executable, '-m', 'vulture', '--ignore-decorators',
                           '@pytest.fixture*', *CODE], cwd=ROOT, capture_output=True, text=True,
                          timeout=300)
    found = set(re.findall(r"unused [a-z]+ '(\w+)'", done.stdout))
    explained = {name for names in USED_ELSEWHERE.values() for name in names.split()}
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert found - explained == set(), done.stdout
