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

import base64
import io
import os
import pathlib
import subprocess
import tarfile

import kernel

VM = pathlib.Path(__file__).resolve().parents[3] / '.vm'
MEMORY_MIB = 160
TIMEOUT_S = float(os.environ.get('PROBE_TIMEOUT_S', '240'))


class Failed(Exception):
    """The guest did not bring anything back; the text is the end of its kernel log."""


def prepare(name: str) -> pathlib.Path:
    """
    Return the folder with the unpacked kernel, downloading it at first.

    :param name: as for kernel.of_archive.
    :raises archive.Unavailable: when it cannot be had here.
    """
    folder = kernel.of_archive(name, VM)
    init = (pathlib.Path(__file__).parent / 'init').read_bytes()
    kernel.write(folder / 'unpacked', folder / 'initramfs', init, modules=())
    return folder


def emulator(name: str) -> str:
    """Return the program that emulates the machine of this kernel."""
    return 'qemu-system-aarch64' if '/arm64' in name else 'qemu-system-x86_64'


def command(name: str, folder: pathlib.Path, console: pathlib.Path) -> list[str]:
    """Return qemu's command line."""
    words = 'panic=-1 loglevel=7 random.trust_cpu=on'
    if '/arm64' in name:
        machine, memory = ['-M', 'virt', '-cpu', 'max,pauth=off'], 2 * MEMORY_MIB
        words = f'console=ttyAMA0 {words}'
    else:
        machine, memory = ['-cpu', 'max,erms=off,fsrm=off'], MEMORY_MIB
        # Without no_timer_check a busy host makes it panic: IO-APIC + timer doesn't work.
        words = f'console=ttyS0 {words} no_timer_check'
    return [emulator(name), *machine, '-accel', os.environ.get('VM_ACCEL', 'tcg'), '-smp', '2',
            '-m', str(memory), '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
            '-kernel', str(kernel.kernel(folder / 'unpacked')),
            '-initrd', str(folder / 'initramfs'), '-append', words, '-serial', f'file:{console}']


def brought(console: pathlib.Path) -> bytes:
    """Return the archive that the guest wrote, as uuencode -m does, behind its kernel log."""
    text = console.read_bytes().partition(b'begin-base64 ')[2].partition(b'\n')[2]
    return base64.b64decode(text.partition(b'====')[0])


def run(name: str, folder: pathlib.Path, target: pathlib.Path) -> None:
    """
    Boot the guest and unpack what it brought back: a captured tree, its dmesg and filler's PID.

    :raises Failed: when it brought nothing back in time.
    """
    console = folder / 'console.log'
    console.unlink(missing_ok=True)
    try:
        subprocess.run(command(name, folder, console), stdin=subprocess.DEVNULL,
                       timeout=TIMEOUT_S, check=True)
        with tarfile.open(fileobj=io.BytesIO(brought(console))) as tar:
            for member in tar:
                if member.isfile() and '..' not in member.name and member.name[:1] != '/':
                    tar.extract(member, target)
        (target / 'dmesg').stat()
    except (subprocess.SubprocessError, tarfile.TarError, OSError, ValueError) as error:
        log = console.read_text(errors='replace') if console.exists() else 'no kernel log'
        raise Failed(f'{error}\n' + '\n'.join(log.splitlines()[-30:])) from error
