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
The command lines that this launch spawns, by Python's audit event (PEP 578, `subprocess.Popen`).

launch reports a process by an event, and a launch that starts sixty at once handles its events
when all of them run: the values came 2.7 s late (median).  At the next spawn the one before it
can be seen.  An audit hook stays for the life of the interpreter, so there is one of it, which
costs others 0.6 us an audited call, and nothing it calls may raise.
"""

from collections.abc import Callable
import os
import sys
import threading

Listener = Callable[['tuple[str, ...]'], None]

_listeners: list[Listener] = []
_hooked: list[int] = []  # the thread that launch runs in, once the hook is there


def listen(listener: Listener) -> None:
    """Call the listener, which must not raise, with each command line before it is spawned."""
    _listeners.append(listener)
    if not _hooked:
        _hooked.append(0)
        sys.addaudithook(_hook)
    _hooked[0] = threading.get_ident()


def forget(listener: Listener) -> None:
    """Call the listener no more."""
    if listener in _listeners:
        _listeners.remove(listener)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == 'subprocess.Popen' and _listeners and threading.get_ident() == _hooked[0]:
        words = _words(arguments)
        for listener in tuple(_listeners):
            listener(words)


def _words(arguments: tuple[object, ...]) -> tuple[str, ...]:
    """Return the command line of (executable, args, cwd, env), empty when it is no list."""
    given = arguments[1] if len(arguments) > 1 else ()
    if not isinstance(given, (list, tuple)):
        return ()
    return tuple(os.fsdecode(word) for word in given
                 if isinstance(word, (str, bytes, os.PathLike)))
