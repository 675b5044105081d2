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

"""Give every process of a scope an oom_score_adj before its first instruction."""

from collections.abc import Iterable
import os
import shlex
import shutil
import sys
from typing import Any
from typing import List  # noqa: UP035  # launch compares with typing.List

from launch import Action
from launch import LaunchContext
from launch import SomeSubstitutionsType
from launch.frontend import Entity
from launch.frontend import expose_action
from launch.frontend import Parser
import launch.logging
from launch.utilities import normalize_to_list_of_substitutions
from launch.utilities import perform_substitutions

PREFIX = 'launch-prefix'
FRONTEND = 'get_launch_description_from_frontend_launch_file'
OF_LAUNCH = ('launch', 'launch_ros', 'launch_xml', 'launch_yaml', 'oom_sentinel')
FILTER = 'launch-prefix-filter'


@expose_action('set_oom_score_adj')
class SetOomScoreAdj(Action):
    """
    Set the oom_score_adj of the processes that are started in this scope from here on.

    It works through the launch configuration `launch-prefix`, so it is scoped as any launch
    configuration is; a prefix of a node's own takes its place.  Nothing here takes a launch
    down: what is wrong is logged, and the processes start without the value.
    """

    def __init__(self, oom_score_adj: int | SomeSubstitutionsType,
                 match: SomeSubstitutionsType | Iterable[SomeSubstitutionsType] | None = None,
                 **kwargs: Any) -> None:
        """
        Create the action.

        :param oom_score_adj: the value, -1000..1000; -1000 is written as -999.
        :param match: a selector such as node:/amcl or exe:rplidar*, or a list of them; only
            processes that they match get the value.
        :raises TypeError: when an argument is neither text nor substitution.
        """
        super().__init__(**kwargs)
        self._where = created_in()
        self.oom_score_adj = normalize_to_list_of_substitutions(
            str(oom_score_adj) if isinstance(oom_score_adj, int) else oom_score_adj)
        one = match is not None and not isinstance(match, (list, tuple))
        self.match = [normalize_to_list_of_substitutions(text)  # type: ignore[arg-type]
                      for text in ([match] if one else match or ())]

    @classmethod
    def parse(cls, entity: Entity, parser: Parser) -> Any:
        """Parse `<set_oom_score_adj value="-500" match="node:/amcl"/>`."""
        _, kwargs = super().parse(entity, parser)
        # Text, so that 800x is refused by us, later, and the launch goes on.
        kwargs['oom_score_adj'] = parser.parse_if_substitutions(
            entity.get_attr('value', data_type=int, can_be_str=True))
        if isinstance(kwargs['oom_score_adj'], int):
            kwargs['oom_score_adj'] = str(kwargs['oom_score_adj'])
        kwargs['match'] = [parser.parse_substitution(text) for text in _selectors(entity)]
        return cls, kwargs

    def execute(self, context: LaunchContext) -> None:
        """Put our prefix in front of whatever prefix the scope has."""
        logger = launch.logging.get_logger('oom_sentinel')
        try:
            problem = self._apply(context)
        except Exception as error:  # noqa: B902 - a launch never ends for our sake
            problem = f'{type(error).__name__}: {error}'
        if problem:
            logger.error(f'{self._where}{": " * bool(self._where)}set_oom_score_adj: {problem}; '
                         'the processes of this scope start without it')

    def _apply(self, context: LaunchContext) -> str | None:
        """Return what hinders, None when it is in force."""
        from oom_sentinel.actions import oom_exec
        from oom_sentinel.settings import selector
        try:
            value = oom_exec.value(perform_substitutions(context, self.oom_score_adj))
            match = tuple(selector.parse(perform_substitutions(context, text))
                          for text in self.match)
        except (oom_exec.ValueRefused, selector.SelectorError) as error:
            return f'{"value" if isinstance(error, oom_exec.ValueRefused) else "match"}: {error}'
        program = find_program()
        if program is None:
            return f'{oom_exec.NAME} is neither in lib/oom_sentinel nor on PATH'
        present = context.launch_configurations.get(PREFIX, '')
        outer, others = oom_exec.split(shlex.split(present))
        context.launch_configurations[PREFIX] = shlex.join(oom_exec.join(
            program, oom_exec.nested(oom_exec.Rule(value, match), outer), others))
        if context.launch_configurations.get(FILTER):
            launch.logging.get_logger('oom_sentinel').warning(
                f'{FILTER} holds for set_oom_score_adj too: only what it matches gets the value')
        return None


def _selectors(entity: Entity) -> list[str]:
    """Return `match` as a list: text in XML, text or a list in YAML."""
    try:
        text = entity.get_attr('match', data_type=str, optional=True)
        return [] if text is None else [text]
    except TypeError:
        found: list[str] = entity.get_attr('match', data_type=List[str])  # noqa: UP006
        return found


def created_in() -> str:
    """
    Return the launch file that creates an action just now, '' when that cannot be seen.

    launch's own `current_launch_file_path` goes on naming a file that was included before.
    """
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_locals.get('frontend_launch_file_path')
        if frame.f_code.co_name == FRONTEND and isinstance(path, (str, os.PathLike)):
            return os.fspath(path)
        if str(frame.f_globals.get('__name__')).partition('.')[0] not in OF_LAUNCH:
            return frame.f_code.co_filename
        frame = frame.f_back  # type: ignore[assignment]
    return ''


def find_program() -> str | None:
    """Return the path of oom_exec: of this package's prefix, else of PATH."""
    from ament_index_python.packages import get_package_prefix
    from ament_index_python.packages import PackageNotFoundError
    from oom_sentinel.actions import oom_exec
    try:
        found = os.path.join(get_package_prefix('oom_sentinel'), 'lib', 'oom_sentinel',
                             oom_exec.NAME)
    except PackageNotFoundError:
        found = ''
    return found if os.access(found, os.X_OK) else shutil.which(oom_exec.NAME)
