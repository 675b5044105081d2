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

"""The program of a process, from its name, command line and executable."""

from collections.abc import Sequence
from functools import lru_cache

from oom_sentinel.facts.process import Program
from oom_sentinel.settings import programs

INTERPRETER_OPTIONS_WITH_VALUE = frozenset(('-W', '-X', '-Q', '--check-hash-based-pycs'))


# What is kept of a command line, whatever its process makes of it.
CMDLINE_CHARACTERS = 4096
CMDLINE_WORDS = 256
NAME_CHARACTERS = 255  # of a file (NAME_MAX) and of a node
NODE_NAMES = 64


def _kept(cmdline: Sequence[str]) -> tuple[str, ...]:
    """Return the beginning of a command line, whole words as long as they fit."""
    kept, room = [], CMDLINE_CHARACTERS
    for word in cmdline[:CMDLINE_WORDS]:
        kept.append(word[:room])
        room -= len(word)
        if room <= 0:
            break
    return tuple(kept)


def _base(path: str) -> str:
    return path.rstrip('/').rpartition('/')[2][:NAME_CHARACTERS]


def _is_interpreter(path: str) -> bool:
    """
    Return whether this program runs a script: python3, python3.11, perl5...

    A program called `node` or `lua` in lib/PKG of a prefix is that package's own.
    """
    name, found = _base(path), package_of(path)
    if found is not None and not found[1].startswith(programs.INTERPRETERS):
        return False
    for stem in programs.INTERPRETERS:
        if name.startswith(stem) and not name[len(stem):].strip('0123456789.-'):
            return True
    return False


@lru_cache(maxsize=256)
def runs_others(path: str | None) -> bool:
    """Return whether a program often runs another in its place: a shell, env, an interpreter."""
    return path is None or _is_interpreter(path) or _base(path) in programs.MENTION_ROS_ARGS


def script(cmdline: Sequence[str]) -> str | None:
    """
    Return the script that an interpreter was given, None for none.

    `python -m pkg.module` gives the module's name; `-c` and standard input none.
    """
    arguments = iter(cmdline[1:])
    for argument in arguments:
        if argument == '-m':
            return next(arguments, None)
        if argument in ('-c', '-e', '-'):
            return None
        if argument in INTERPRETER_OPTIONS_WITH_VALUE:
            next(arguments, None)
        elif not argument.startswith('-'):
            return argument
    return None


def behind_env(cmdline: Sequence[str]) -> tuple[str, ...]:
    """Return what env(1) is about to run: a shebang's interpreter and script, mostly."""
    words = list(cmdline[1:])
    while words:
        word = words.pop(0)
        if word in ('-u', '--unset', '-C', '--chdir'):
            words = words[1:]
        elif word in ('-S', '--split-string') and words:
            words[:1] = words[0].split()
        elif not word.startswith('-') and '=' not in word:
            return (word, *words)
    return ()


def package_of(path: str) -> tuple[str, str] | None:
    """Return prefix and PKG of a program PREFIX/lib/PKG/program, None for any other path."""
    parts = path.split('/')
    if len(parts) < 4 or parts[-3] != 'lib' or not parts[-2] or not path.startswith('/'):
        return None
    return '/'.join(parts[:-3]) or '/', parts[-2][:NAME_CHARACTERS]


def node_names(cmdline: Sequence[str]) -> tuple[str, ...]:
    """
    Return the fully qualified node name that --ros-args gives, none when it gives none.

    Only remappings between --ros-args and -- count; a rule for one node of several
    (`name:__node:=x`) names that node.
    """
    names, spaces, inside = [], '/', False
    remap = False
    for word in cmdline:
        if word == '--ros-args':
            inside, remap = True, False
        elif word == '--':
            inside = False
        elif inside and remap:
            remap = False
            key, assign, value = word.partition(':=')
            key = key.rpartition(':')[2]
            if assign and key in ('__node', '__name') and value:
                names.append(value)
            elif assign and key == '__ns' and value:
                spaces = value
        elif inside and word in ('-r', '--remap'):
            remap = True
    prefix = '/' + spaces.strip('/')
    full = dict.fromkeys((prefix if prefix != '/' else '') + '/' + name.lstrip('/')
                         for name in names[:NODE_NAMES])
    return tuple(name for name in full if len(name) <= NAME_CHARACTERS)


def classify(comm: str, cmdline: Sequence[str], exe: str | None, *,
             maps_librcl: bool = False, ros_prefixes: Sequence[str] = (),
             ros_domain_id: int | None = None) -> Program:
    """
    Return what a process runs.

    Only the beginning of the command line is kept: 4096 characters in 256 words.

    :param exe: target of /proc/PID/exe, None where unreadable.
    :param ros_prefixes: prefixes that are known to hold ROS packages; a program in lib/PKG of
        another prefix is ROS when it carries --ros-args or maps librcl.
    """
    path = (exe or (cmdline[0] if cmdline else '') or comm)
    if path.endswith(' (deleted)'):
        path = path[:-len(' (deleted)')]
    executable = _base(path)
    if executable == 'env' and behind_env(cmdline):
        # Between the exec of a script and that of its interpreter, some milliseconds.
        return classify(comm, behind_env(cmdline), None, maps_librcl=maps_librcl,
                        ros_prefixes=ros_prefixes, ros_domain_id=ros_domain_id)
    if cmdline and _is_interpreter(path):
        given = script(cmdline)
        if given is not None:
            path, executable = given, _base(given)
    found = package_of(path) or (package_of(cmdline[0]) if cmdline else None)
    ros_args = '--ros-args' in cmdline
    in_prefix = found is not None and (
        found[0] in ros_prefixes or found[0].startswith('/opt/ros/'))
    return Program(
        comm=comm, cmdline=_kept(cmdline), exe=exe, executable=executable or comm,
        package=found[1] if found else None, node_names=node_names(cmdline),
        ros=maps_librcl or in_prefix or (
            ros_args and executable not in programs.MENTION_ROS_ARGS),
        ros_domain_id=ros_domain_id)
