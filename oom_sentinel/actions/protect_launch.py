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

"""Protect every process of a launch as it starts, and say who ended it."""

from collections.abc import Iterable
from typing import Any

from launch import Action
from launch import LaunchContext
from launch import SomeSubstitutionsType
import launch.logging
from launch.utilities import normalize_to_list_of_substitutions
from launch.utilities import perform_substitutions


class ProtectLaunch(Action):
    """
    Protect the processes of this launch, from any file, before and after, respawns too.

    The settings are those of the sentinel's own parameter files.  oom_sentinel.launch.py does
    this and starts the sentinel; a second time in one launch it does nothing.
    """

    def __init__(self, params_files: Iterable[SomeSubstitutionsType] = (), *,
                 node_name: SomeSubstitutionsType = '/oom_sentinel', enabled: bool = True,
                 **kwargs: Any) -> None:
        """
        Create the action.

        :param params_files: ROS parameter files, a later one overrides an earlier one.
        :param node_name: the sentinel's fully qualified name, by which the files name it.
        :param enabled: false: write nothing, only report processes that were killed.
        :raises TypeError: when params_files is a single text.
        """
        super().__init__(**kwargs)
        if isinstance(params_files, str):
            raise TypeError("'params_files' is a list of files, not one of them")
        self.params_files = [normalize_to_list_of_substitutions(p) for p in params_files]
        self.node_name = normalize_to_list_of_substitutions(node_name)
        self.enabled = enabled

    def execute(self, context: LaunchContext) -> None:
        """Register the handlers and look at what runs already; never raises."""
        try:
            from oom_sentinel.actions.launch_guard import begin
            begin(context, [perform_substitutions(context, p) for p in self.params_files],
                  perform_substitutions(context, self.node_name), enabled=self.enabled)
        except Exception as error:  # noqa: B902 - a launch never ends for our sake
            launch.logging.get_logger('oom_sentinel').error(
                f'this launch is not protected as it starts: {type(error).__name__}: {error}')
