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
Boot a kernel with a busybox initramfs that kills and captures, and bring back what it captured.

The guest has neither Python nor any disk: it only makes the facts, the host judges them.
"""

import os
import pathlib
import subprocess
import tarfile

import archive
import kernel

VM = pathlib.Path(__file__).resolve().parents[3] / '.vm'
MEMORY_MIB = 160
TIMEOUT_S = float(os.environ.get('PROBE_TIMEOUT_S', '240'))


class Failed(Exception):
    """The guest did not bring anything back; the text is the end of its kernel log."""


def prepare(name: str) -> pathlib.Path:
    """
    Return the folder with the unpacked kernel, downloading it at first.

    :param name: a Debian release, whose newest is taken; or release and version with a colon.
    :raises archive.Unavailable: when it cannot be had here.
    """
    release, _, version = name.partition(':')
    folder = VM / 'kernels' / name.replace(':', '_')
    unpacked = folder / 'unpacked'
    if not kernel.kernels(unpacked):
        source = archive.of_release(release, VM / 'kernels' / 'apt' / release)
        kernel.download(unpacked, source, folder / 'packages', version)
    init = (pathlib.Path(__file__).parent / 'init').read_bytes()
    kernel.write(unpacked, folder / 'initramfs', init, modules=())
    return folder


def command(folder: pathlib.Path, brought: pathlib.Path, console: pathlib.Path) -> list[str]:
    """Return qemu's command line."""
    return ['qemu-system-x86_64', '-accel', os.environ.get('VM_ACCEL', 'tcg'), '-smp', '2',
            '-m', str(MEMORY_MIB), '-cpu', 'max,erms=off,fsrm=off', '-nodefaults',
            '-no-user-config', '-display', 'none', '-no-reboot',
            '-kernel', str(kernel.kernel(folder / 'unpacked')),
            '-initrd', str(folder / 'initramfs'),
            # Without no_timer_check a busy host makes it panic: IO-APIC + timer doesn't work.
            '-append', 'console=ttyS0 panic=-1 loglevel=7 random.trust_cpu=on no_timer_check',
            '-serial', f'file:{console}', '-serial', f'file:{brought}']


def run(folder: pathlib.Path, target: pathlib.Path) -> None:
    """
    Boot the guest and unpack what it brought back: a captured tree, its dmesg and filler's PID.

    :raises Failed: when it brought nothing back in time.
    """
    brought, console = folder / 'brought', folder / 'console.log'
    for path in (brought, console):
        path.unlink(missing_ok=True)
    try:
        subprocess.run(command(folder, brought, console), stdin=subprocess.DEVNULL,
                       timeout=TIMEOUT_S, check=True)
        with tarfile.open(brought) as tar:
            for member in tar:
                if member.isfile() and '..' not in member.name and member.name[:1] != '/':
                    tar.extract(member, target)
        (target / 'dmesg').stat()
    except (subprocess.SubprocessError, tarfile.TarError, OSError) as error:
        log = console.read_text(errors='replace') if console.exists() else 'no kernel log'
        raise Failed(f'{error}\n' + '\n'.join(log.splitlines()[-30:])) from error
