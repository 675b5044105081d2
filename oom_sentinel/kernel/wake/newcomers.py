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

"""New programs: told by the kernel where it does, else noticed in /proc/loadavg."""

from collections.abc import Callable
import select

from oom_sentinel.kernel.wake.execs import Execs
from oom_sentinel.kernel.wake.loop import Watch

NAME = 'new programs'
# Most of what a shell starts has ended after 0.1 s and costs nothing then.  While an exec storm
# lasts it is looked at every 0.3 s.
REST_S = 0.1
REST_MAX_S = 0.3
LOOK_S = 0.52  # fewer than two wake-ups a second


class Newcomers:
    """Wakes by NAME when a process began a program, or when one was forked."""

    def __init__(self, watch: Watch, last_pid: Callable[[], int | None], *,
                 ask_kernel: bool = True) -> None:
        """
        Begin to watch.

        :param last_pid: the PID given last, looked at where the kernel tells nothing.
        """
        self._watch = watch
        self._last_pid = last_pid
        self._seen = last_pid()
        self._execs: Execs | None = None
        self.why = 'not asked for'
        if ask_kernel:
            try:
                self._execs = Execs()
            except OSError as error:
                self.why = error.strerror or str(error)
        if self._execs is None:
            watch.every(LOOK_S, NAME, self._look)
        else:
            watch.add(self._execs.fileno(), select.EPOLLIN, NAME, self._execs.read,
                      rest_s=REST_S, rest_max_s=REST_MAX_S, settle=True)

    @property
    def told(self) -> bool:
        """Tell whether the kernel tells of every exec; else `why` it does not."""
        return self._execs is not None

    def _look(self) -> bool:
        seen, self._seen = self._seen, self._last_pid()
        return seen != self._seen

    def taken(self) -> frozenset[int]:
        """Return who began a program since the last call, none when not all are known."""
        return frozenset() if self._execs is None else self._execs.taken()

    def close(self) -> None:
        """Watch no longer."""
        if self._execs is not None:
            self._watch.remove(self._execs.fileno())
            self._execs.close()
            self._execs = None
