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

"""package.xml, setup.py and the changelog tell the same story."""

import importlib
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import pytest

ROOT = pathlib.Path(__file__).parent.parent
KEYS = {'rclpy', 'diagnostic_msgs', 'std_msgs', 'std_srvs', 'rcl_interfaces', 'launch',
        'launch_ros', 'python3-psutil', 'ament_copyright', 'ament_flake8', 'ament_pep257',
        'python3-pytest', 'python3-hypothesis', 'launch_testing'}


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
    named = set(re.findall(r'<(?:exec|test)_depend>([^<]+)<', text))
    assert named >= KEYS


@pytest.mark.parametrize('module, name', re.findall(
    r"= ([\w.]+):(\w+)'", (ROOT / 'setup.py').read_text()))
def test_console_scripts_resolve(module, name):
    """Each entry point is a function."""
    if module.endswith('node'):
        pytest.importorskip('rclpy', reason='needs rclpy')
    assert callable(getattr(importlib.import_module(module), name))
