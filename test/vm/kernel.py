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
The guest's kernel and the initramfs that finds its root disk.

Debian's cloud kernel has ext4 built in and virtio as modules, so the initramfs needs only a
static busybox, those modules and a script.  Nothing is installed on the host: the packages are
downloaded and unpacked.
"""

import gzip
import lzma
import os
import pathlib
import subprocess

# In the order in which they need each other; one that is built in or unknown is left out.
MODULES = ('virtio_ring', 'virtio', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev',
           'virtio_pci', 'virtio_blk')
INIT = """#!/busybox sh
/busybox mkdir -p /dev /proc /root
/busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do /busybox insmod $module; done
for turn in 1 2 3 4 5 6 7 8 9 10; do
  [ -b /dev/vda ] && break
  /busybox sleep 0.2
done
/busybox mount -t ext4 -o rw,noatime /dev/vda /root || /busybox poweroff -f
exec /busybox switch_root /root /init
"""


def download(folder: pathlib.Path) -> None:
    """
    Download and unpack Debian's cloud kernel and a static busybox, unless they are there.

    :raises subprocess.CalledProcessError: when apt knows none or there is no network.
    """
    if list(folder.glob('boot/vmlinuz-*')):
        return
    packages = folder.parent / 'packages'
    packages.mkdir(parents=True, exist_ok=True)
    shown = subprocess.run(['apt-cache', 'depends', 'linux-image-cloud-amd64'], check=True,
                           capture_output=True, text=True).stdout
    kernel = [line.split()[-1] for line in shown.splitlines() if 'Depends: linux-image' in line]
    if not kernel:
        raise SystemExit('vm-test: apt knows no linux-image-cloud-amd64; apt-get update, or put '
                         f'a kernel package and busybox-static into {packages} yourself')
    if not list(packages.glob('linux-image-*.deb')):
        subprocess.run(['apt-get', '-q', 'download', kernel[0]], cwd=packages, check=True)
    if not list(packages.glob('busybox-static*.deb')):
        subprocess.run(['apt-get', '-q', 'download', 'busybox-static'], cwd=packages, check=True)
    for package in sorted(packages.glob('*.deb')):
        subprocess.run(['dpkg', '-x', str(package), str(folder)], check=True)


def kernel(folder: pathlib.Path) -> pathlib.Path:
    """Return the unpacked kernel."""
    return sorted(folder.glob('boot/vmlinuz-*'))[-1]


def busybox(folder: pathlib.Path) -> pathlib.Path:
    """Return the unpacked static busybox."""
    return next(path for path in (folder / 'bin/busybox', folder / 'usr/bin/busybox')
                if path.exists())


def _module(folder: pathlib.Path, name: str) -> bytes | None:
    release = kernel(folder).name.replace('vmlinuz-', '')
    for modules in (folder / 'lib/modules' / release, folder / 'usr/lib/modules' / release):
        for path in modules.rglob(f'{name}.ko*'):
            data = path.read_bytes()
            return lzma.decompress(data) if path.suffix == '.xz' else data
    return None


def _entry(name: str, mode: int, data: bytes) -> bytes:
    """Return one file of a cpio archive of format newc (initramfs-buffer-format.rst)."""
    path = name.encode() + b'\0'
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b'070701' + b''.join(b'%08x' % field for field in fields) + path
    return head + b'\0' * (-len(head) % 4) + data + b'\0' * (-len(data) % 4)


def write(folder: pathlib.Path, target: pathlib.Path) -> None:
    """Write the initramfs."""
    parts = [_entry('modules', 0o040755, b''),
             _entry('init', 0o100755, INIT.encode()),
             _entry('busybox', 0o100755, busybox(folder).read_bytes())]
    for number, name in enumerate(MODULES):
        data = _module(folder, name)
        if data is not None:
            parts.append(_entry(f'modules/{number}_{name}.ko', 0o100644, data))
    parts.append(_entry('TRAILER!!!', 0, b''))
    partly = target.with_suffix('.part')
    partly.write_bytes(gzip.compress(b''.join(parts), 1))
    os.replace(partly, target)
