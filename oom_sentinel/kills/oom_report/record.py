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

"""A line of a log without its envelope: what the kernel said, when, and on whose behalf."""

from datetime import tzinfo
import re

from oom_sentinel.facts.frozen import frozen

_ESCAPE = re.compile(rb'\\x([0-9a-f]{2})')


def unescape(text: bytes) -> bytes:
    r"""Undo the kernel's \xNN (kernel/printk/printk.c msg_add_ext_text())."""
    if b'\\x' not in text:
        return text
    return _ESCAPE.sub(lambda m: bytes((int(m.group(1), 16),)), text)


@frozen
class Record:
    """
    One message of the kernel.

    `wall_s` is seconds since the epoch, `boot_s` the kernel's own timestamp in seconds since
    boot, `caller` the task or CPU that printed it (CONFIG_PRINTK_CALLER), b'' when unknown.
    `escaped` says whether other bytes than ASCII may show as backslash, x, two hex digits.
    `speaker` is the program whose syslog tag stands before the text, b'' for the kernel.
    """

    text: bytes
    wall_s: float | None = None
    boot_s: float | None = None
    caller: bytes = b''
    escaped: bool = True
    speaker: bytes = b''


@frozen
class Clock:
    """
    What turns the times of a log into seconds since the epoch; None: unknown.

    `boot_wall_s` is the wall clock at boot, `now_s` bounds dates without a year, `zone` is that
    of dates without an offset (None: this machine's).
    """

    boot_wall_s: float | None = None
    now_s: float | None = None
    zone: tzinfo | None = None

    def wall_s(self, boot_s: float | None) -> float | None:
        """Return the wall clock of a kernel timestamp."""
        if boot_s is None or self.boot_wall_s is None:
            return None
        return self.boot_wall_s + boot_s
