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

"""The parameter file of a verb: warnings go to standard error, refusals are `Unusable`."""

from oom_sentinel.cli import output
from oom_sentinel.cli.output import Unusable
from oom_sentinel.kernel.regular_files import read_regular
from oom_sentinel.settings import parameter_file
from oom_sentinel.settings import Settings
from oom_sentinel.settings.parameter_file import ParamsError


def load(path: str | None) -> Settings:
    """
    Return the settings of a parameter file, the defaults without one.

    :raises Unusable: naming file and key, when it is unreadable, a value is refused, or it
        has parameters for other nodes only: the defaults would be a wrong answer.
    """
    try:
        loaded = parameter_file.load(
            *([] if path is None else [path]), read=read_regular)
    except ParamsError as error:
        raise Unusable(str(error)) from error
    if loaded.warnings and not loaded.named:
        raise Unusable(loaded.warnings[0])
    for warning in loaded.warnings:
        output.complain(f'oom_sentinel: {warning}')
    return loaded.settings
