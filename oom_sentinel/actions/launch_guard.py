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
Protects the processes of one launch: handles the events of launch and writes to its log.

An exception inside a handler would shut the whole launch down, so every handler catches all.
"""

import atexit
from collections.abc import Callable
from dataclasses import replace
import os
import shlex
import time
import traceback
from typing import Any

from launch import LaunchContext
from launch.event_handlers import OnProcessExit
from launch.event_handlers import OnProcessStart
from launch.event_handlers import OnShutdown
import launch.logging
from oom_sentinel.actions import oom_exec
from oom_sentinel.actions import spawns
from oom_sentinel.actions.files import Usable
from oom_sentinel.actions.files import usable
from oom_sentinel.actions.launched import Children
from oom_sentinel.actions.respawns import Respawns
from oom_sentinel.kernel import host
from oom_sentinel.protection import saved
from oom_sentinel.protection.respawn_hold import held_s

MARK = 'oom_sentinel_launch_guard'
COUNT_S = 2.0  # 60 us each time: which kills are new is known to this
# Wrappers (oom_exec, stdbuf, a script) have become their node by then; the second is for
# slow boards.
LOOK_AGAIN_S = (0.5, 3.0)
FLUSH_S = 0.3  # one record for all that start together
BATCH_S = 0.1
UNMATCHED_S = 20.0
DENIED = (
    'lowering oom_score_adj is denied ({name}: {why}); {instead}. To permit it start the robot '
    'with OOMScoreAdjust= (systemd) or --oom-score-adj= (docker): docs/privileges.md')


def begin(context: LaunchContext, paths: list[str], node_name: str, *,
          enabled: bool = True) -> None:
    """Guard this launch from now on; does nothing when it is guarded already."""
    if MARK in context.get_locals_as_dict():
        return
    found = usable(paths, node_name)
    made = LaunchGuard(context, found, enabled)
    context.extend_globals({MARK: made})
    made.begin()


class LaunchGuard:
    """Registers the handlers and holds the children."""

    def __init__(self, context: LaunchContext, files: Usable, enabled: bool) -> None:
        """Look at what runs already; nothing is registered yet."""
        self.context = context
        self.files = files
        self.logger = launch.logging.get_logger('oom_sentinel')
        settings = files.loaded.settings
        if not enabled:
            settings = replace(settings, protection_enabled=False)
        self.children = Children(settings, ros_prefixes=host.ros_prefixes(),
                                 ros_domain_id=host.own_domain_id())
        self.respawns = Respawns(self.logger.warning)
        self._said: set[str] = set()
        self._running: set[int] = set()
        self._spawning: list[tuple[str, ...]] = []
        self._early: set[int] = set()
        self._looks: dict[float, list[tuple[float, int]]] = {}
        self._flushing = False
        self._on_spawn = self._guarded(self._spawns)
        self._closed = False

    def begin(self) -> None:
        """Register the handlers and protect what was started before."""
        for message in self.files.errors:
            self.logger.error(message)
        for message in self.files.loaded.warnings:
            self.logger.warning(message)
        for handler in (OnProcessStart(on_start=self._guarded(self._started)),
                        OnProcessExit(on_exit=self._guarded(self._exited)),
                        OnShutdown(on_shutdown=self._guarded(self._shutdown))):
            self.context.register_event_handler(handler)
        atexit.register(self._close)
        self._guarded(self._sweep)()
        spawns.listen(self._on_spawn)
        self._later(COUNT_S, self._count)
        self._later(UNMATCHED_S, self._log_unmatched)

    def _guarded(self, work: Callable[..., None]) -> Callable[..., None]:
        """Return work whose exceptions become one line of the log each."""
        def run(*arguments: Any) -> None:
            try:
                work(*arguments)
            except Exception as error:  # noqa: B902 - it would shut the launch down
                self._say(self.logger.error, f'{type(error).__name__}: {error}')
                self.logger.debug(traceback.format_exc())
        return run

    def _say(self, log: Callable[[str], object], text: str) -> None:
        """Log a line once."""
        if text not in self._said:
            self._said.add(text)
            log(text)

    def _later(self, seconds: float, work: Callable[..., None], *arguments: Any) -> None:
        loop = self.context.asyncio_loop
        if loop is not None and not self._closed:
            loop.call_later(seconds, self._guarded(work), *arguments)

    def _sweep(self) -> None:
        """Protect whatever descends from this launch already, ourselves too."""
        self.children.protect()
        self.children.sweep(os.getpid())
        for pid in list(self.children.known):
            self._look_later(pid)
        self._done()

    def _spawns(self, words: tuple[str, ...]) -> None:
        """Meet whom the last spawn started; who is started now is met at the next, or soon."""
        self._meet_spawned()
        self._spawning.append(words)
        if self.context.asyncio_loop is not None:
            self.context.asyncio_loop.call_soon(self._guarded(self._meet_spawned))

    def _meet_spawned(self) -> None:
        if not self._spawning or self._closed:
            return
        fresh = self.children.fresh()
        known = fresh and len(self._spawning) == len(fresh) == 1
        for pid in fresh:
            self._early.add(pid)
            self._meet(pid, *(read(self._spawning[0]) if known else ((), (), False)))
        self._spawning.clear()

    def _started(self, event: Any, _context: LaunchContext) -> None:
        self._running.add(event.pid)
        if event.pid in self._early:
            self._early.discard(event.pid)
        else:
            self._meet_started(event)
        if self.children.may_be_shed(event.pid):
            self.respawns.started(event.action, event.process_name)

    def _meet_started(self, event: Any) -> None:
        """Protect the process of a start event, or say that it has ended already."""
        rules, command, wraps = command_of(event)
        if not self._meet(event.pid, rules, command, wraps) and not rules \
                and self.children.would_match(command):
            self._say(self.logger.warning, f'{event.process_name} (PID {event.pid}) had ended '
                      'before it could be protected')

    def _meet(self, pid: int, rules: tuple[oom_exec.Rule, ...], command: tuple[str, ...],
              wraps: bool) -> bool:
        """Protect a process; return whether it was still there."""
        if self.children.started(pid, command, wraps=wraps, rules=rules) is None:
            return False
        self._look_later(pid)
        self._done()
        return True

    def _look_later(self, pid: int) -> None:
        for seconds in LOOK_AGAIN_S:
            waiting = self._looks.setdefault(seconds, [])
            waiting.append((time.monotonic() + seconds, pid))
            if len(waiting) == 1:
                self._later(seconds, self._look_again, seconds)

    def _look_again(self, seconds: float) -> None:
        """Look at all whose time has come, at once; the others get another look."""
        if self._closed:
            return
        until = time.monotonic() + BATCH_S
        due = [pid for due_s, pid in self._looks[seconds] if due_s <= until]
        self._looks[seconds] = [entry for entry in self._looks[seconds] if entry[0] > until]
        if self._looks[seconds]:
            self._later(max(BATCH_S, self._looks[seconds][0][0] - until), self._look_again,
                        seconds)
        self.children.look_again(*due, settled=seconds == LOOK_AGAIN_S[-1])
        self._done()

    def _done(self) -> None:
        """Say what was denied, and have the record written soon."""
        self._flush_later()
        if self.children.guard.trouble:
            self._say(self.logger.warning, self.children.guard.trouble)
        for outcome in self.children.denied[:1]:
            if 'denied' in self._said:
                break
            self._said.add('denied')
            raised = self.children.guard.planned.levels
            process = self.children.known.get(outcome.adjustment.identity.pid)
            self.logger.warning(DENIED.format(
                name='this launch itself' if process is None else process.label,
                why=outcome.why, instead='the other processes of this launch are raised '
                'instead' if raised else 'the order is not kept'))

    def _flush_later(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        trouble = None if self._closed else self.children.flush()
        if trouble:
            self._say(self.logger.warning, trouble)

    def _count(self) -> None:
        if not self._closed:
            self._later(COUNT_S, self._count)
            self.children.count()
            self.respawns.look(held_s(saved.default_directory(), time.monotonic()) > 0)

    def _log_unmatched(self) -> None:
        """Log the groups of the user's own file that match no process here, perhaps by a typo."""
        if self._closed or not self.files.paths:
            return
        named = self.files.loaded.named
        for group in self.children.settings.protection_groups:
            key = f'group.{group.name}.match'
            if key in named and group.match and group.name not in self.children.matched:
                self.logger.info(f'{self.files.paths[-1]}: {key} matches no process of this '
                                 'launch so far')

    def _exited(self, event: Any, context: LaunchContext) -> None:
        verdict = self.children.ended(event.pid, event.returncode, event.process_name)
        self._running.discard(event.pid)
        self._early.discard(event.pid)
        if verdict is not None and (verdict.by_oom or not context.is_shutdown):
            self.logger.error(verdict.text)  # a launch that shuts down kills what does not end
        self._flush_later()
        if context.is_shutdown and not self._running:
            self._close()

    def _shutdown(self, _event: Any, _context: LaunchContext) -> None:
        if not self._running:
            self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            spawns.forget(self._on_spawn)
            atexit.unregister(self._close)
            self.children.close()


def read(words: tuple[str, ...]
         ) -> tuple[tuple[oom_exec.Rule, ...], tuple[str, ...], bool]:
    """Return oom_exec's rules, the command behind them, and whether a shell stands around it."""
    if words[1:2] != ('-c',) or len(words) != 3 or words[0] not in ('/bin/sh', '/system/bin/sh'):
        return (*oom_exec.split(words), False)
    try:  # as subprocess makes it of shell=True
        return (*oom_exec.split(shlex.split(words[2])), True)
    except ValueError:
        return (), (), True


def command_of(event: Any) -> tuple[tuple[oom_exec.Rule, ...], tuple[str, ...], bool]:
    """Return the same of an event, which has the command as launch was given it."""
    if getattr(event.action, 'shell', False):
        return read(('/bin/sh', '-c', ' '.join(event.cmd)))
    return read(tuple(event.cmd))
