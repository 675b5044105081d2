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

"""
The one parameter table: each field of `Settings` is the declaration of a parameter.

The node declares from it, the presets are checked against it and the documentation is made
from it.  Pure: a mapping of names to values goes in, a `Settings` or a `SettingsError` comes
out.
"""

from collections.abc import Mapping
import dataclasses
from dataclasses import dataclass
import difflib
import math
import re

from oom_sentinel.settings import selector
from oom_sentinel.settings.selector import Selector

GROUP_NAME = re.compile(r'[a-z][a-z0-9_]*\Z')
GROUP_PARAMETER = re.compile(r'group\.([^.]*)\.(match|oom_score_adj|children)\Z')

# What TurtleBot 3, TurtleBot 4 and Nav2 start, Humble to Rolling, read from their launch files;
# config/turtlebot3.yaml, turtlebot4.yaml and nav2.yaml hold each robot's part with the reasons.
PRESET_MATCH: dict[str, tuple[str, ...]] = {
    'bringup': (
        'exe:turtlebot3_ros', 'exe:turtlebot4_node', 'exe:turtlebot4_base_node',
        'exe:create3_republisher', 'exe:robot_state_publisher', 'exe:joint_state_publisher',
        'exe:ros2_control_node', 'exe:ekf_node', 'exe:ukf_node', 'exe:twist_mux',
        'exe:micro_ros_agent', 'exe:aggregator_node', 'exe:rmw_zenohd',
        'exe:fast-discovery-server*', 'cmd:*/fastdds.py discovery*', 'cmd:*/ros2 launch *'),
    'drivers': (
        'exe:hlds_laser_publisher', 'exe:ld08_driver', 'exe:single_lidar_node',
        'exe:rplidar_composition', 'exe:rplidar_node', 'exe:sllidar_node',
        'exe:joy_linux_node', 'exe:joy_node', 'pkg:teleop_twist_joy'),
    'navigation': (
        'node:*/nav2_container', 'exe:controller_server', 'exe:planner_server',
        'exe:smoother_server', 'exe:behavior_server', 'exe:route_server', 'exe:bt_navigator',
        'exe:waypoint_follower', 'exe:velocity_smoother', 'exe:collision_monitor',
        'exe:collision_detector', 'exe:amcl', 'exe:map_server', 'exe:map_saver_server',
        'exe:costmap_filter_info_server', 'exe:vector_object_server', 'exe:lifecycle_manager',
        'pkg:opennav_docking', 'pkg:opennav_following'),
    'expendable': (
        'exe:rviz2', 'exe:rqt*', 'exe:plotjuggler', 'cmd:*/ros2 bag *',
        'pkg:rosbag2_transport', 'exe:foxglove_bridge', 'exe:rosbridge_websocket*',
        'exe:rosapi_node', 'exe:web_video_server', 'pkg:image_view',
        'cmd:*--name ros2-daemon *', 'exe:colcon', 'exe:cc1*'),
}
PRESET_OOM_SCORE_ADJ = {'bringup': -500, 'drivers': -400, 'navigation': -300,
                        'expendable': 300}


class SettingsError(ValueError):
    """A value that is refused; the text names parameter, value and allowed range."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a parameter is: its default, type and range, and what it means."""

    name: str
    default: object
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False
    selectors: bool = False

    @property
    def type(self) -> type:
        """Return float, int, bool, str or tuple (of str)."""
        return type(self.default)

    @property
    def allowed(self) -> str:
        """Return the allowed values in words."""
        if self.choices:
            return 'one of ' + ', '.join(repr(c) for c in self.choices)
        words = {float: 'a number', int: 'an integer', bool: 'true or false', str: 'a string',
                 tuple: 'a list of strings'}[self.type]
        if self.low is not None:
            words += f' in {self.low:g}..{self.high:g}'
        return words

    def coerce(self, value: object) -> object:
        """
        Return the value in this parameter's type.

        An integer is taken where a float is meant, an empty list of any kind as an empty list
        of strings, and a lone string as a list of one.

        :raises SettingsError: for any other type, and outside the range.
        """
        taken = self._typed(value)
        if (isinstance(taken, (int, float)) and self.low is not None and self.high is not None
                and not self.low <= taken <= self.high):
            raise self._refusal(value)
        if self.choices and taken not in self.choices:
            raise self._refusal(value)
        return taken

    def _typed(self, value: object) -> object:
        if self.type is float and isinstance(value, (int, float)) and value is not True \
                and value is not False and math.isfinite(value):
            return float(value)
        if self.type is int and isinstance(value, int) and not isinstance(value, bool):
            return value
        if self.type is bool and isinstance(value, bool):
            return value
        if self.type is str and isinstance(value, str):
            return value
        if self.type is tuple:
            if value is None:
                return ()
            if isinstance(value, str):
                return (value,)
            if not isinstance(value, (bytes, dict)) and hasattr(value, '__iter__'):
                items = tuple(value)
                if all(isinstance(item, str) for item in items):
                    return items
        raise self._refusal(value)

    def _refusal(self, value: object) -> SettingsError:
        return SettingsError(f'{self.name}: {value!r} refused, allowed: {self.allowed}')


@dataclass(frozen=True, slots=True)
class Group:
    """
    A protection group: which processes it matches, and their oom_score_adj (-1000..1000).

    `children` is whether other programs that they start keep the value.
    """

    name: str
    match: tuple[Selector, ...]
    oom_score_adj: int
    children: bool = False


def _p(name: str, default: object, description: str, low: float | None = None,
       high: float | None = None, **more: object) -> object:
    declaration = Declaration(name, default, description, low, high, **more)  # type: ignore
    return dataclasses.field(default=default, metadata={'declaration': declaration})


@dataclass(frozen=True)
class Settings:
    """Every parameter of the sentinel; `protection_groups` is built from the group.* ones."""

    publish_period: float = _p(  # type: ignore[assignment]
        'publish_period', 1.0, 'Period of the diagnostics in seconds.', 0.1, 60.0)
    scan_period: float = _p(  # type: ignore[assignment]
        'scan_period', 2.0, 'Period in seconds in which the process table is read.', 0.2, 60.0)
    hardware_id: str = _p(  # type: ignore[assignment]
        'hardware_id', '', 'hardware_id of the diagnostics; empty: the host name.')
    memory_available_warn_percent: float = _p(  # type: ignore[assignment]
        'memory.available_warn_percent', 15.0,
        'WARN when MemAvailable falls below this share of MemTotal, in percent.', 0.0, 100.0)
    memory_available_error_percent: float = _p(  # type: ignore[assignment]
        'memory.available_error_percent', 5.0,
        'ERROR when MemAvailable falls below this share of MemTotal, in percent.', 0.0, 100.0)
    swap_used_warn_percent: float = _p(  # type: ignore[assignment]
        'swap.used_warn_percent', 60.0,
        'WARN when more swap is used, in percent, while MemAvailable is low too.', 0.0, 100.0)
    swap_used_error_percent: float = _p(  # type: ignore[assignment]
        'swap.used_error_percent', 90.0,
        'ERROR when more swap is used, in percent, while MemAvailable is low too.', 0.0, 100.0)
    pressure_some_avg10_warn: float = _p(  # type: ignore[assignment]
        'pressure.some_avg10_warn', 10.0,
        'WARN when PSI some avg10 exceeds this, in percent.', 0.0, 100.0)
    pressure_full_avg10_error: float = _p(  # type: ignore[assignment]
        'pressure.full_avg10_error', 5.0,
        'ERROR when PSI full avg10 exceeds this, in percent.', 0.0, 100.0)
    pressure_trigger_stall_ms: int = _p(  # type: ignore[assignment]
        'pressure.trigger_stall_ms', 150,
        'Stall in milliseconds within a window that wakes the node at once; 0: off.', 0, 1000)
    exhaustion_warn_s: float = _p(  # type: ignore[assignment]
        'exhaustion.warn_s', 180.0,
        'WARN when memory would be exhausted within this many seconds.', 0.0, 86400.0)
    exhaustion_error_s: float = _p(  # type: ignore[assignment]
        'exhaustion.error_s', 45.0,
        'ERROR when memory would be exhausted within this many seconds.', 0.0, 86400.0)
    hold_s: float = _p(  # type: ignore[assignment]
        'hold_s', 5.0, 'Seconds a condition must be gone before its level falls.', 0.0, 600.0)
    protection_enabled: bool = _p(  # type: ignore[assignment]
        'protection.enabled', True, 'Whether oom_score_adj values are written at all.')
    groups: tuple[str, ...] = _p(  # type: ignore[assignment]
        'groups', ('bringup', 'drivers', 'navigation', 'expendable'),
        'Protection groups in order; a node belongs to the first that matches it.')
    protection_self_oom_score_adj: int = _p(  # type: ignore[assignment]
        'protection.self_oom_score_adj', -300, 'oom_score_adj of the sentinel itself.',
        -1000, 1000)
    protection_when_denied: str = _p(  # type: ignore[assignment]
        'protection.when_denied', 'raise_others',
        'What to do when lowering is denied: raise the other processes, or only report.',
        choices=('raise_others', 'report'))
    protection_raise: str = _p(  # type: ignore[assignment]
        'protection.raise', 'user',
        "Which unprotected processes may be raised when lowering is denied: all of this user's, "
        'or ROS processes only.', choices=('user', 'ros'))
    protection_unmatched_oom_score_adj: int = _p(  # type: ignore[assignment]
        'protection.unmatched_oom_score_adj', 0,
        'What a ROS process of this user gets that no group matches and that carries a '
        'negative value it only inherited.', -1000, 1000)
    protection_killable_warn_percent: float = _p(  # type: ignore[assignment]
        'protection.killable_warn_percent', 30.0,
        'WARN when less than this share of used memory, in percent, belongs to processes '
        'that the kernel may kill before a protected one.', 0.0, 100.0)
    protection_restore_on_exit: bool = _p(  # type: ignore[assignment]
        'protection.restore_on_exit', True,
        'Give changed processes their old value back on an orderly exit.')
    protection_allow_unkillable: bool = _p(  # type: ignore[assignment]
        'protection.allow_unkillable', False,
        'Write -1000 as it stands instead of -999.', read_only=True)
    protection_other_users: bool = _p(  # type: ignore[assignment]
        'protection.other_users', False,
        "Let a privileged sentinel act on other users' processes.", read_only=True)
    kills_hold_s: float = _p(  # type: ignore[assignment]
        'kills.hold_s', 300.0, 'Seconds a kill keeps its status raised.', 0.0, 86400.0)
    incident_directory: str = _p(  # type: ignore[assignment]
        'incident.directory', '~/.ros/oom_sentinel',
        'Where incident folders are written; empty: none.', read_only=True)
    incident_keep: int = _p(  # type: ignore[assignment]
        'incident.keep', 20, 'How many incident folders are kept.', 0, 1000)
    protection_groups: tuple[Group, ...] = ()

    def group(self, name: str | None) -> Group | None:
        """Return the group of this name, None when there is none."""
        return next((g for g in self.protection_groups if g.name == name), None)


ERROR_WARN_PAIRS = (
    # (the more alarming one, the other, whether the more alarming one is the smaller)
    ('memory.available_error_percent', 'memory.available_warn_percent', True),
    ('swap.used_error_percent', 'swap.used_warn_percent', False),
    ('exhaustion.error_s', 'exhaustion.warn_s', True),
)


def declarations() -> tuple[Declaration, ...]:
    """Return the fixed parameters, in the order of the table."""
    return tuple(f.metadata['declaration'] for f in dataclasses.fields(Settings)
                 if 'declaration' in f.metadata)


def group_declarations(name: str) -> tuple[Declaration, ...]:
    """Return the three parameters of one group."""
    return (
        Declaration(f'group.{name}.match', PRESET_MATCH.get(name, ()),
                    f'Selectors of group {name}: node:, exe:, pkg:, cgroup:, cmd:, ! excludes.',
                    selectors=True),
        Declaration(f'group.{name}.oom_score_adj', PRESET_OOM_SCORE_ADJ.get(name, 0),
                    f'oom_score_adj of group {name}; below -600 is accepted with a warning.',
                    -1000, 1000),
        Declaration(f'group.{name}.children', False,
                    f'Whether programs that a process of group {name} starts keep its value.'))


def declarations_for(values: Mapping[str, object]) -> tuple[Declaration, ...]:
    """
    Return every parameter that exists when `groups` has the value given here.

    :raises SettingsError: when `groups` is not a list of valid, distinct names.
    """
    fixed = declarations()
    declared = next(d for d in fixed if d.name == 'groups')
    names = declared.coerce(values.get('groups', declared.default))
    assert isinstance(names, tuple)
    for name in names:
        if not GROUP_NAME.match(name):
            raise SettingsError(
                f'groups: {name!r} refused, allowed: names of a-z, 0-9 and _, a letter first')
    if len(set(names)) != len(names):
        raise SettingsError(f'groups: {list(names)!r} refused, allowed: each name once')
    return fixed + tuple(d for name in names for d in group_declarations(name))


def build(values: Mapping[str, object]) -> Settings:
    """
    Return the settings that these parameter values mean; what is not named has its default.

    :raises SettingsError: naming parameter, value and allowed range; names that are no
        parameter are left aside, see `unknown`.
    """
    coerced = {d.name: d.coerce(values.get(d.name, d.default))
               for d in declarations_for(values)}
    for more, less, smaller in ERROR_WARN_PAIRS:
        a, b = coerced[more], coerced[less]
        assert isinstance(a, float) and isinstance(b, float)
        if (a > b) if smaller else (a < b):
            raise SettingsError(f'{more}: {a:g} refused, allowed: '
                                f'{"at most" if smaller else "at least"} {less}, which is {b:g}')
    names = coerced['groups']
    assert isinstance(names, tuple)
    fields = {f.name: coerced[f.metadata['declaration'].name]
              for f in dataclasses.fields(Settings) if 'declaration' in f.metadata}
    groups = tuple(_group(name, coerced) for name in names)
    return Settings(**fields, protection_groups=groups)  # type: ignore[arg-type]


def _group(name: str, coerced: Mapping[str, object]) -> Group:
    key = f'group.{name}.match'
    texts = coerced[key]
    assert isinstance(texts, tuple)
    try:
        match = tuple(selector.parse(text) for text in texts)
    except selector.SelectorError as error:
        raise SettingsError(f'{key}: {list(texts)!r} refused, {error}, allowed: '
                            'a list of selectors such as node:/amcl or exe:rplidar*') from error
    value = coerced[f'group.{name}.oom_score_adj']
    assert isinstance(value, int)
    return Group(name, match, value, coerced[f'group.{name}.children'] is True)


def unknown(values: Mapping[str, object],
            allowed: tuple[str, ...] = ()) -> tuple[tuple[str, str | None], ...]:
    """
    Return the names that are no parameter, each with the closest known name or None.

    `allowed` are names that ROS itself declares.  Parameters of groups that `groups` does not
    list are unknown too, so that a typo in a group's name is seen.
    """
    try:
        known = [d.name for d in declarations_for(values)]
    except SettingsError:
        known = [d.name for d in declarations()]
    return tuple(
        (name, next(iter(difflib.get_close_matches(name, known, 1)), None))
        for name in values if name not in known and name not in allowed)
