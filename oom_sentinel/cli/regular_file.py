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

"""Read a file that a user named: a regular one, never more of it than a limit."""

from oom_sentinel.cli.output import Unusable
from oom_sentinel.kernel import private_files


def read_regular(path: str, most: int) -> bytes:
    """
    Return the content of a regular file; a FIFO or a device is never waited for.

    :param most: bytes; a larger file is refused.
    :raises Unusable: naming the file and why it cannot be read.
    """
    try:
        content = private_files.read_regular(path, most)
    except (OSError, ValueError) as error:
        raise Unusable(f'{path}: {getattr(error, "strerror", None) or error}') from error
    if len(content) > most:
        raise Unusable(f'{path}: larger than {most >> 20} MiB')
    return content
