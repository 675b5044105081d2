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

"""Findings about the place: a container, or the Windows Subsystem for Linux."""

from collections.abc import Iterator
import re

from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.doctor.text import log_of_host
from oom_sentinel.doctor.text import mib
from oom_sentinel.doctor.text import remark
from oom_sentinel.doctor.text import remedy
from oom_sentinel.doctor.text import wsl_memory
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.status import Unavailable

RUN = '{} run --memory=4g --memory-swap=6g --oom-score-adj=-500 IMAGE'
MANIFEST = ('Set resources.limits.memory and an equal resources.requests.memory in the manifest '
            'of the pod, then:')
DESCRIPTORS_MUCH = 1_000_000
CONTAINER_ID = re.compile(r'[0-9a-f]{12}\Z')


def check(checkup: Checkup) -> Iterator[Finding]:
    """Return the findings about this place."""
    yield from _container(checkup)
    yield from _descriptors(checkup)
    wsl, total = checkup.surroundings.wsl, mib(checkup.meminfo.mem_total_bytes)
    if wsl == 1:
        yield Finding('wsl1', Severity.WARNING,
                      'this is WSL 1: it has no Linux kernel, so no OOM killer and no limits to '
                      'watch',
                      remark('In Windows run: wsl --set-version DISTRO 2'))
    elif wsl is not None:
        yield Finding('wsl2', Severity.WARNING,
                      f'this is WSL 2: Linux has {total}, by default half of what Windows has, '
                      'and the OOM killer acts at that bound',
                      wsl_memory(checkup.meminfo.mem_total_bytes))


def kind_of(checkup: Checkup) -> str | None:
    """Return the kind of the container that this runs in, None outside of one."""
    container = checkup.surroundings.container
    return None if container is None else container.kind


def container_name(checkup: Checkup) -> str:
    """Return the name by which the host knows this container: Docker's default host name."""
    name = checkup.host.hostname
    return name if CONTAINER_ID.match(name) else 'CONTAINER'


def _container(checkup: Checkup) -> Iterator[Finding]:
    container = checkup.surroundings.container
    if container is None:
        return
    kind = container.kind
    shown = kind if kind != 'container' else 'another kind'
    if kind in ('Docker', 'Podman'):
        cure = remedy(remark('On the host, with the options that the container has already:'),
                      RUN.format(kind.lower()))
    elif kind == 'Kubernetes':
        cure = remedy(remark(MANIFEST), 'kubectl apply -f MANIFEST')
    else:
        cure = remark('Set a memory limit where the container is defined, and watch from the '
                      'host.')
    yield Finding('container', Severity.INFO,
                  f'this is a container ({shown}; {container.evidence}): MemAvailable is '
                  f"the host's, {mib(checkup.meminfo.mem_total_bytes)} in all, and others use it "
                  'too', cure)
    group = _group(checkup)
    if group is not None and group.oom_kill:
        times = 'once' if group.oom_kill == 1 else f'{group.oom_kill} times'
        # The counter rises with every member that is killed, whatever was short.
        cause = 'at its memory limit or because the machine was short' if group.limited else \
            'because the machine, or a group around it, was short: it has no limit of its own'
        yield Finding('container_kills', Severity.WARNING,
                      f'the kernel killed {times} in this container since it started, {cause} '
                      '(oom_kill of its control group)', log_of_host())


def _group(checkup: Checkup) -> MemoryCgroup | None:
    """Return the control group of this container, None where it is not known."""
    if isinstance(checkup.chains, Unavailable):
        return None
    return next((chain.container_group for chain in checkup.chains
                 if chain.path == checkup.own_cgroup), None)


def _descriptors(checkup: Checkup) -> Iterator[Finding]:
    """Return a limit on descriptors so large that old tools waste memory on it."""
    files, kind = checkup.limits.open_files, kind_of(checkup)
    if files is None or files < DESCRIPTORS_MUCH:
        return
    if kind in ('Docker', 'Podman'):
        cure = remedy(remark('On the host, with the options that the container has already:'),
                      f'{kind.lower()} run --ulimit nofile=65536:65536 IMAGE')
    else:
        cure = remedy(remark('In the shell that starts the robot:'), 'ulimit -Sn 65536')
    yield Finding('open_files_huge', Severity.WARNING if kind else Severity.INFO,
                  f'RLIMIT_NOFILE is {files}: old ROS tools (roscore, xmlrpc, Python 2) touch '
                  'every possible descriptor at their start, which takes gigabytes or minutes',
                  cure)
