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

"""package.xml, setup.py, the changelog and the CI workflow tell the same story."""

import ast
import importlib
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
import yaml

ROOT = pathlib.Path(__file__).parent.parent
KEYS = {'rclpy', 'diagnostic_msgs', 'std_msgs', 'std_srvs', 'rcl_interfaces', 'launch',
        'launch_ros', 'python3-psutil', 'ament_copyright', 'ament_flake8', 'ament_pep257',
        'python3-pytest', 'python3-hypothesis', 'launch_testing'}

# Modules whose rosdep key has another name, and what is looked up only when it is there.
RENAMED = {'psutil': 'python3-psutil', 'rich': 'python3-rich', 'yaml': 'python3-yaml'}
OPTIONAL = {'argcomplete', 'composition_interfaces', 'matplotlib', 'ros2cli', 'ros2doctor',
            'rosbags', 'typing_extensions'}


def test_versions_agree():
    """One version in three places."""
    manifest = ElementTree.parse(ROOT / 'package.xml').getroot()
    version = manifest.findtext('version')
    assert f"version='{version}'" in (ROOT / 'setup.py').read_text()
    assert version in (ROOT / 'CHANGELOG.rst').read_text()
    assert manifest.find('export/build_type').text == 'ament_python'


def test_every_rosdep_key_is_named():
    """What INTERFACE.md lists is in package.xml."""
    text = (ROOT / 'package.xml').read_text()
    named = set(re.findall(r'<(?:exec|test)_depend[^>]*>([^<]+)<', text))
    assert named >= KEYS


def test_the_manifest_is_complete_and_names_no_placeholder():
    """What colcon, bloom and pip need: a licence file, addresses that look like addresses."""
    manifest = ElementTree.parse(ROOT / 'package.xml').getroot()
    maintainer = manifest.find('maintainer').get('email')
    assert re.fullmatch(r'[\w.-]+@[\w-]+(\.[\w-]+)+', maintainer)
    assert f"EMAIL = '{maintainer}'" in (ROOT / 'setup.py').read_text()
    assert (ROOT / manifest.find('license').get('file')).exists()
    urls = {url.get('type'): url.text for url in manifest.findall('url')}
    assert sorted(urls) == ['bugtracker', 'repository', 'website']
    assert f"URL = '{urls['website']}'" in (ROOT / 'setup.py').read_text()
    placeholder = 'example' + '.com'
    texts = [*ROOT.glob('*.*'), *ROOT.glob('config/**/*.*'), *ROOT.glob('docs/*.md')]
    assert [p.name for p in texts if p.is_file() and placeholder in p.read_text()] == []


def test_types_are_shipped():
    """PEP 561: who imports oom_sentinel gets its types."""
    assert (ROOT / 'oom_sentinel' / 'py.typed').exists()
    assert 'py.typed' in (ROOT / 'setup.py').read_text()


@pytest.mark.parametrize('missing', ['rclpy', 'diagnostic_msgs'])
def test_the_node_without_ros_says_so_in_one_line(missing):
    """A plain `pip install .` brings no ROS: the reason and the way out, no traceback."""
    made = subprocess.run(
        [sys.executable, '-c', f'import sys; sys.modules[{missing!r}] = None\n'
         'from oom_sentinel.node import main\nsys.exit(main())'],
        capture_output=True, text=True, timeout=60)
    assert (made.returncode, made.stdout) == (2, '')
    assert made.stderr.count('\n') == 1 and f'module {missing} is missing' in made.stderr
    assert 'source /opt/ros/' in made.stderr


def imported(path):
    """Return the top-level names that a file imports from neither us nor Python."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return {name.split('.')[0] for name in names} - {'oom_sentinel', *sys.stdlib_module_names}


def test_what_is_imported_is_depended_on():
    """An apt-get install of the package leaves nothing to be found missing on the robot."""
    text = (ROOT / 'package.xml').read_text(encoding='utf-8')
    named = set(re.findall(r'<exec_depend[^>]*>([^<]+)<', text))
    used = set().union(*(imported(path) for folder in ('oom_sentinel', 'launch')
                         for path in (ROOT / folder).rglob('*.py')))
    assert {RENAMED.get(name, name) for name in used - OPTIONAL} <= named
    assert not named & OPTIONAL


def test_no_two_test_files_share_a_name():
    """Without packages pytest imports them by their base name: the second is not collected."""
    names = [path.name for path in (ROOT / 'test').rglob('test_*.py')]
    assert sorted(set(names)) == sorted(names)


def test_the_workflow_covers_every_distribution():
    """What INTERFACE.md lists, in its own container, and the wheels by .ci/run."""
    jobs = yaml.safe_load((ROOT / '.github/workflows/ci.yaml').read_text())['jobs']
    matrix = jobs['ros']['strategy']['matrix']
    distros = [*matrix['distro'], *(row['distro'] for row in matrix['include'])]
    assert sorted(distros) == ['humble', 'jazzy', 'kilted', 'lyrical', 'rolling']
    assert jobs['ros']['container'] == 'ros:${{ matrix.distro }}'
    said = ' '.join(step.get('run', '') for step in jobs['ros']['steps'])
    assert 'colcon build' in said and 'colcon test' in said and 'pytest -ra test/launch' in said
    assert [step.get('run') for step in jobs['wheels']['steps']][-1] == '.ci/run'
    assert (ROOT / '.ci' / 'run').exists()


@pytest.mark.parametrize('module, name', re.findall(
    r"= ([\w.]+):(\w+)'", (ROOT / 'setup.py').read_text()))
def test_console_scripts_resolve(module, name):
    """Each entry point is a function."""
    if module.endswith('node'):
        pytest.importorskip('rclpy', reason='needs rclpy')
    if '.cli.ros2_' in module:
        needed = 'ros2cli' if module.endswith('command') else 'ros2doctor'
        pytest.importorskip(needed, reason=f'needs {needed}')
    if '.actions' in module:
        pytest.importorskip('launch_ros', reason='needs launch_ros: source ROS')
    assert callable(getattr(importlib.import_module(module), name))


def test_the_issue_forms_are_ones_that_the_host_takes():
    """Each form has a name, a description, and fields with an id of their own."""
    forms = sorted((ROOT / '.github/ISSUE_TEMPLATE').glob('*.yaml'))
    assert len(forms) == 3
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert form['name'] and form['description']
        ids = [field['id'] for field in form['body']]
        assert len(ids) == len(set(ids))
        assert all(field['type'] in {'input', 'textarea'} for field in form['body'])
        assert all(field['attributes']['label'] for field in form['body'])
