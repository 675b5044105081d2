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

"""Packaging of oom_sentinel for ament_python and for pip; the wheels' pins live here."""

import glob
import os

from setuptools import find_packages
from setuptools import setup

package_name = 'oom_sentinel'
EMAIL = 'maintainers@users.noreply.r-seed-78ce80db.example'
URL = 'https://r-seed-78ce80db.example/oom_sentinel'

# Without ROS installed `make setup` takes these wheels from the package index.
KILTED = [
    'ros-kilted-rclpy==9.1.2', 'ros-kilted-rmw-fastrtps-cpp==9.3.3',
    'ros-kilted-diagnostic-msgs==5.5.1', 'ros-kilted-std-msgs==5.5.1',
    'ros-kilted-std-srvs==5.5.1', 'PyYAML==6.0.3',
]
JAZZY = [
    'ros-jazzy-rclpy==7.1.6', 'ros-jazzy-rmw-fastrtps-cpp==8.4.3',
    'ros-jazzy-diagnostic-msgs==5.3.6', 'ros-jazzy-std-msgs==5.3.6',
    'ros-jazzy-std-srvs==5.3.6', 'PyYAML==6.0.3',
]
TEST = [
    'pytest==8.3.5', 'pytest-timeout==2.4.0', 'hypothesis==6.131.0', 'flake8==7.3.0',
    'flake8-quotes==3.4.0', 'flake8-import-order==0.19.2', 'flake8-comprehensions==3.17.0',
    'pydocstyle==6.3.0', 'mypy==1.18.2', 'types-psutil==7.0.0.20250822', 'ruff==0.17.6',
    'pytest-xdist==3.8.0', 'prometheus_client==0.26.0', 'vulture==2.16',
]


def shared(folder):
    """Return the (target, files) pairs that install a folder's files into share/."""
    pairs = []
    for place, _, names in os.walk(folder):
        files = [os.path.join(place, name) for name in sorted(names) if name[-4:] != '.pyc']
        if files:
            pairs.append((os.path.join('share', package_name, place), files))
    return pairs


setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(include=['oom_sentinel', 'oom_sentinel.*']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', glob.glob('resource/oom_sentinel')),
        ('share/' + package_name, ['package.xml']),
        # setup.cfg puts scripts into lib/PKG alone; a prefix is looked up on PATH too.
        ('lib/' + package_name, ['scripts/oom_exec']), ('bin', ['scripts/oom_exec']),
        ('share/man/man1', ['man/oom_sentinel.1']),
        *shared('launch'), *shared('config'), *shared('demo'),
    ],
    install_requires=['setuptools', 'psutil>=5.9.0', 'rich>=11.2.0'],
    extras_require={'kilted': KILTED, 'jazzy': JAZZY, 'test': TEST,
                    'metrics': ['prometheus_client']},
    zip_safe=True,
    python_requires='>=3.10',
    author='oom_sentinel maintainers',
    author_email=EMAIL,
    maintainer='oom_sentinel maintainers',
    maintainer_email=EMAIL,
    url=URL,
    project_urls={'Source': URL + '.git', 'Issues': URL + '/issues'},
    description="Keeps a robot's critical nodes alive when memory runs out.",
    license='Apache-2.0',
    tests_require=['pytest'],
    entry_points={
        'console_scripts': [
            'oom_sentinel_node = oom_sentinel.node:main',
            'oom_sentinel = oom_sentinel.cli:main',
        ],
        'ros2cli.command': ['oom = oom_sentinel.cli.ros2_command:OomCommand'],
        'ros2doctor.checks': ['OomCheck = oom_sentinel.cli.ros2_doctor:OomCheck'],
        'ros2doctor.report': ['OomReport = oom_sentinel.cli.ros2_doctor:OomReport'],
        # Loaded into every launch on the machine: inert until asked for.
        'launch.frontend.launch_extension': [
            'oom_sentinel = oom_sentinel.actions.set_oom_score_adj'],
        'launch_ros.node_action': [
            'oom_sentinel = oom_sentinel.actions.extension:OomSentinelExtension'],
    },
)
