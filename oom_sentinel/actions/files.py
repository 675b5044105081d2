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

"""Parameter files of a launch: what is usable of them, and what to say of the rest."""

from collections.abc import Iterable
from dataclasses import field
import os

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.kernel.private_files import read_regular
from oom_sentinel.settings import parameter_file
from oom_sentinel.settings.parameter_file import Loaded


@frozen
class Usable:
    """The files that can be followed, what they say together, and what is wrong."""

    paths: tuple[str, ...] = ()
    loaded: Loaded = field(default_factory=parameter_file.load)
    errors: tuple[str, ...] = ()


def usable(paths: Iterable[str], node_name: str) -> Usable:
    """
    Return the files that can be followed, in their order; a bad one is left out and named.

    The sentinel itself would refuse to start with it, so a robot would have none.
    """
    good: list[str] = []
    errors = []
    for path in paths:
        whole = os.path.abspath(os.path.expanduser(path.strip()))
        try:
            parameter_file.load(*good, whole, node=node_name, read=read_regular)
            good.append(whole)
        except parameter_file.ParamsError as error:
            errors.append(f'{error}; the sentinel starts without this file')
    return Usable(tuple(good), parameter_file.load(*good, node=node_name, read=read_regular),
                  tuple(errors))
