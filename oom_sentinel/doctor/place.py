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

"""Where this runs: containers and the Windows Subsystem for Linux."""

from collections.abc import Iterator

from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.doctor.text import mib

IN_CONTAINER = {
    'Docker': 'docker run --memory=4g --memory-swap=6g --oom-score-adj=-500 ...',
    'Podman': 'podman run --memory=4g --memory-swap=6g --oom-score-adj=-500 ...',
    'Kubernetes': 'set resources.limits.memory and an equal resources.requests.memory in the '
                  "pod's manifest, then: kubectl apply -f MANIFEST"}
ELSEWHERE = 'set a memory limit where the container is defined, and watch from the host'


def check(checkup: Checkup) -> Iterator[Finding]:
    """Return what the place means for memory."""
    container, wsl = checkup.surroundings.container, checkup.surroundings.wsl
    total = mib(checkup.meminfo.mem_total_bytes)
    if container is not None:
        kind = container.kind if container.kind != 'container' else 'another'
        yield Finding('container', Severity.INFO,
                      f'this is a container ({kind}; {container.evidence}): MemAvailable is '
                      f"the host's, {total} in all, and others use it too",
                      IN_CONTAINER.get(container.kind, ELSEWHERE))
    if wsl == 1:
        yield Finding('wsl1', Severity.WARNING,
                      'this is WSL 1: without a Linux kernel there is no OOM killer to tame',
                      'in Windows: wsl --set-version DISTRO 2')
    elif wsl is not None:
        yield Finding('wsl2', Severity.WARNING,
                      f'this is WSL 2: Linux has {total}, by default half of what Windows has, '
                      'and the OOM killer acts at that bound',
                      'in Windows, write [wsl2], memory=12GB and swap=8GB (a line each) into '
                      '%UserProfile%\\.wslconfig, then: wsl --shutdown')
