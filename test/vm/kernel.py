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

from collections.abc import Iterator
import contextlib
import fcntl
import gzip
import lzma
import os
import pathlib
import shutil

import archive

# In the order in which they need each other; one that is built in or unknown is left out.
MODULES = ('virtio_ring', 'virtio', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev',
           'virtio_pci', 'virtio_blk', 'overlay', 'lzo', 'lzo-rle', 'zsmalloc', 'zram')
INIT = """#!/busybox sh
/busybox mkdir -p /dev /proc /root
/busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do /busybox insmod $module; done
for turn in $(/busybox seq 300); do
  [ -b /dev/vda ] && break
  /busybox sleep 0.2
done
/busybox mount -t ext4 -o rw,noatime /dev/vda /root || /busybox poweroff -f
exec /busybox switch_root /root /init
"""


@contextlib.contextmanager
def locked(path: pathlib.Path) -> Iterator[None]:
    """Hold a lock file, made with its folder: one run at a time downloads and builds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def download(folder: pathlib.Path, source: archive.Archive, packages: pathlib.Path,
             version: str = '', flavour: str = archive.CLOUD) -> None:
    """
    Download and unpack a kernel of Debian and a static busybox, unless they are there.

    A kernel package that stands in `packages` already is taken in place of this version.

    :raises archive.Unavailable: when apt knows none or there is no network.
    """
    if kernels(folder):
        return
    names = () if list(packages.glob('linux-*.deb')) else source.kernel_packages(version, flavour)
    partly = folder.with_name(f'{folder.name}.part')  # a run that was ended leaves half of it
    shutil.rmtree(partly, ignore_errors=True)
    source.unpack((*names, 'busybox-static'), packages, partly)
    if not kernels(partly):
        raise archive.Unavailable(f'no vmlinuz in the packages of {packages}')
    shutil.rmtree(folder, ignore_errors=True)
    partly.rename(folder)


def of_archive(name: str, vm: pathlib.Path) -> pathlib.Path:
    """
    Return the folder that holds a kernel of Debian's archive, unpacked, downloading it at first.

    :param name: a Debian release, whose newest is taken; or release and version with a colon;
        a flavour for arm64 behind a slash: trixie/arm64-16k.
    :raises archive.Unavailable: when it cannot be had here.
    """
    suite, _, flavour = name.partition('/')
    release, _, version = suite.partition(':')
    folder = vm / 'kernels' / name.replace(':', '_').replace('/', '_')
    with locked(folder / 'lock'):
        if not kernels(folder / 'unpacked'):
            lists = vm / 'kernels' / 'apt' / f'{release}{"_arm64" if flavour else ""}'
            source = archive.of_release(release, lists, 'arm64' if flavour else '')
            download(folder / 'unpacked', source, folder / 'packages', version,
                     flavour or archive.CLOUD)
    return folder


def kernels(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the unpacked kernels: below boot, from Debian's 7.2 on beside their modules."""
    found = [path for pattern in ('boot/vmlinuz-*', 'lib/modules/*/vmlinuz',
                                  'usr/lib/modules/*/vmlinuz') for path in folder.glob(pattern)]
    return sorted(found)


def kernel(folder: pathlib.Path) -> pathlib.Path:
    """Return the unpacked kernel."""
    return kernels(folder)[-1]


def release(folder: pathlib.Path) -> str:
    """Return the release of the unpacked kernel, as `uname -r` prints it."""
    path = kernel(folder)
    return path.parent.name if path.name == 'vmlinuz' else path.name.replace('vmlinuz-', '')


def busybox(folder: pathlib.Path) -> pathlib.Path:
    """Return the unpacked static busybox."""
    return next(path for path in (folder / 'bin/busybox', folder / 'usr/bin/busybox')
                if path.exists())


def _module(folder: pathlib.Path, name: str) -> bytes | None:
    below = f'lib/modules/{release(folder)}'
    for modules in (folder / below, folder / 'usr' / below):
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


def write(folder: pathlib.Path, target: pathlib.Path, init: bytes = INIT.encode(),
          modules: tuple[str, ...] = MODULES) -> None:
    """Write the initramfs: busybox, these modules, and this program as its process 1."""
    parts = [_entry('modules', 0o040755, b''),
             _entry('init', 0o100755, init),
             _entry('busybox', 0o100755, busybox(folder).read_bytes())]
    for number, name in enumerate(modules):
        data = _module(folder, name)
        if data is not None:
            parts.append(_entry(f'modules/{number:02}_{name}.ko', 0o100644, data))
    parts.append(_entry('TRAILER!!!', 0, b''))
    partly = target.with_suffix('.part')
    partly.write_bytes(gzip.compress(b''.join(parts), 1))
    os.replace(partly, target)
