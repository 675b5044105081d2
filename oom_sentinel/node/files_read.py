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

"""The parameter files that the node was started with: what its log says of them."""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from oom_sentinel.kernel.regular_files import read_regular
from oom_sentinel.settings import parameter_file
from oom_sentinel.settings.outside import LINE_MAX
from oom_sentinel.settings.outside import printable
from oom_sentinel.settings.parameter_file import ParamsError

OPTION = '--params-file'


def parameter_files(words: Sequence[str]) -> Iterator[str]:
    """Return the files that follow --params-file between --ros-args and --."""
    inside = False
    for word, following in zip(words, [*words[1:], '']):
        if word == '--ros-args':
            inside = True
        elif word == '--':
            inside = False
        elif inside and word == OPTION and following:
            yield following


def unreadable(words: Sequence[str]) -> str | None:
    """Return why a file cannot be read, None when all can; rcl would wait for ever on a FIFO."""
    try:
        for path in parameter_files(words):
            parameter_file.text_of(path, read_regular)
    except ParamsError as error:
        return printable(str(error), LINE_MAX)
    return None


def refusals(words: Sequence[str]) -> str | None:
    """Return every refusal of the files with its line, None when our reader has none."""
    try:
        parameter_file.load(*parameter_files(words), read=read_regular)
    except ParamsError as error:
        return printable(str(error), LINE_MAX)
    return None


def log_files(words: Sequence[str], node_name: str, log: Any) -> None:
    """Log which files were read; warn about one that has nothing for this node."""
    files = tuple(parameter_files(words))
    if not files:
        log.info('no parameter file: defaults are used')
        return
    log.info('parameters from ' + ', '.join(printable(path, LINE_MAX) for path in files))
    try:
        loaded = parameter_file.load(*files, node=node_name, read=read_regular)
    except ParamsError as error:  # rcl could make something of it that we cannot
        log.warning(printable(str(error), LINE_MAX))
        return
    for warning in loaded.warnings:
        if parameter_file.NOTHING_FOR in warning:
            log.warning(printable(warning, LINE_MAX))
