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

"""flake8, pep257, copyright, mypy and ruff: ament's where ROS is installed, else their tools."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
CODE = [str(ROOT / name)
        for name in ('oom_sentinel', 'launch', 'test', 'bench', 'demo', 'setup.py')
        if (ROOT / name).exists()]
# ament_pep257's own ignore list.
PEP257 = 'D100,D101,D102,D103,D104,D105,D106,D107,D203,D212,D404'


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
