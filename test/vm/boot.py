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
Boot the guest, run its pytest, show what it prints and bring its results back.

The guest gets three disks: the root (kept unchanged, writes go to a temporary file), the
sources as a tar archive, and an empty one onto which it writes its results as a tar archive.
Kernel log and test output come over a serial line each.
"""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

import archive
import image
import kernel

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
VM = ROOT / '.vm'
SOURCES = ('oom_sentinel', 'test', 'config', 'launch', 'scripts', 'resource', 'docs', 'bench',
           'setup.cfg', 'setup.py', 'package.xml', 'Makefile', 'README.md', 'CHANGELOG.rst')
NEEDED = {'qemu-system-x86_64': 'qemu-system-x86', 'mke2fs': 'e2fsprogs', 'dpkg': 'dpkg',
          'apt-get': 'apt'}
MEMORY_MIB = int(os.environ.get('VM_MEMORY_MIB', '768'))
TIMEOUT_S = float(os.environ.get('VM_TIMEOUT_S', '1200'))
# As for kernel.of_archive: bullseye, trixie-backports:6.19; empty for that of this host's release.
KERNEL = os.environ.get('VM_KERNEL', '')
# TCG works everywhere; /dev/kvm may exist and not work.
ACCELERATOR = os.environ.get('VM_ACCEL', 'tcg,thread=multi')
LONG = os.environ.get('VM_LONG', '')  # the tests that take long too, and podman in the guest
SYSTEMD = os.environ.get('VM_SYSTEMD', '')
# What failed the last time, alone; all of it where that guest brought nothing.
AGAIN = bool(os.environ.get('VM_AGAIN'))
# Only make ready: the guest's disk, and these kernels of the probe besides.
KERNELS_ONLY = os.environ.get('VM_PREPARE')
BROUGHT = VM / 'results' / (SYSTEMD or 'guest')
RESULTS_BYTES = 32 << 20
SWAP_MIB = int(os.environ.get('VM_SWAP_MIB', '0'))  # as /dev/vdd; the guest makes swap of it


def missing() -> list[str]:
    """Return the packages whose programs are not installed."""
    path = os.environ['PATH'] + ':/sbin:/usr/sbin'
    return [package for program, package in NEEDED.items()
            if shutil.which(program, path=path) is None]


def booted() -> pathlib.Path:
    """Return the folder with the unpacked kernel that the guest boots."""
    return kernel.of_archive(KERNEL, VM) / 'unpacked' if KERNEL else VM / 'unpacked'


def initramfs() -> pathlib.Path:
    """Return the file with that kernel's modules: guests of several kernels may run at once."""
    return booted().with_name('initramfs-guest')


def prepare() -> None:
    """Make kernel, initramfs and root disk, unless they are up to date; one run at a time."""
    with kernel.locked(VM / 'lock'):
        _prepare()


def _prepare() -> None:
    began_s = time.monotonic()
    unpacked, packages = VM / 'unpacked', VM / 'system'
    kernel.download(unpacked, archive.Archive(), VM / 'packages')
    kernel.write(booted(), initramfs())
    if not image.chosen(packages):
        try:
            archive.Archive().closure(image.PACKAGES, packages)
        except archive.Unavailable as error:
            print(f'vm-test: no systemd in the guest: {error}', flush=True)
    if LONG and not (VM / 'podman.tree').exists():
        try:
            archive.Archive().closure(image.PODMAN, VM / 'podman')
            image.unpack(VM / 'podman', packages, VM / 'podman.tree')
        except archive.Unavailable as error:
            print(f'vm-test: no podman in the guest: {error}', flush=True)
    busybox = kernel.busybox(unpacked)
    key = image.key(busybox, packages)
    known = VM / 'root.key'
    if not (known.exists() and known.read_text() == key and (VM / 'root.img').exists()):
        known.unlink(missing_ok=True)
        image.build(busybox, packages, VM / 'root.img')
        known.write_text(key)
    print(f'vm-test: Linux {kernel.release(booted())}, root disk ready after '
          f'{time.monotonic() - began_s:.0f} s', flush=True)


def prepare_probes(names: list[str]) -> None:
    """Download the kernels of the probe, which skips what cannot be had."""
    for name in names:
        began_s = time.monotonic()
        try:
            release = kernel.release(kernel.of_archive(name, VM) / 'unpacked')
            print(f'vm-test: Linux {release} of {name} ready after '
                  f'{time.monotonic() - began_s:.0f} s', flush=True)
        except archive.Unavailable as error:
            print(f'vm-test: no kernel of {name}: {error}', flush=True)


def pack(target: pathlib.Path, arguments: list[str]) -> None:
    """Write the sources, the guest's init and its settings as a tar archive."""
    settings = target.with_name('settings')
    settings.write_text(f'REPOSITORY={shlex.quote(str(ROOT))}\n'
                        f'PYTHON={shlex.quote(sys.executable)}\n'
                        f'PREFIX={shlex.quote(sys.prefix)}\n'
                        f'COMMAND={shlex.quote(os.environ.get("VM_COMMAND", ""))}\n'
                        f'SYSTEMD={SYSTEMD}\n'
                        f'CGROUP_V1={os.environ.get("VM_CGROUP_V1", "")}\n'
                        f'SLOWNESS={os.environ.get("VM_SLOWNESS", "")}\n'
                        f'export LONG={LONG}\n'
                        # A guest's clock begins with its boot.
                        f'export OOM_SENTINEL_TEST_UNTIL={os.environ.get("VM_BUDGET_S", "")}\n'
                        f'ARGUMENTS={shlex.quote(shlex.join(arguments))}\n', encoding='utf-8')
    with tarfile.open(target, 'w') as archive:
        for name in SOURCES:
            if (ROOT / name).exists():
                archive.add(ROOT / name, str(ROOT / name))
        archive.add(settings, '/guest/settings')
        for name in ('usr', 'etc') if LONG else ():
            if (VM / 'podman.tree' / name).exists():
                archive.add(VM / 'podman.tree' / name, f'/{name}')
        if AGAIN and (BROUGHT / 'cache').exists():
            archive.add(BROUGHT / 'cache', '/results/cache')
        if os.environ.get('VM_EXTRA'):  # a folder of files that the guest shall have besides
            archive.add(os.environ['VM_EXTRA'], '/')
        for name in ('init', 'tests', 'guest.service'):
            archive.add(pathlib.Path(__file__).parent / 'guest' / name, f'/guest/{name}')


def command(run: pathlib.Path) -> list[str]:
    """Return qemu's command line."""
    def disk(path: pathlib.Path, more: str = '') -> list[str]:
        return ['-drive', f'file={path},if=virtio,format=raw{more}']
    return ['qemu-system-x86_64', '-accel', ACCELERATOR, '-smp', '2', '-m', str(MEMORY_MIB),
            # "rep movsb" is emulated byte by byte: filling memory takes four times as long.
            '-cpu', 'max,erms=off,fsrm=off', '-nodefaults', '-no-user-config',
            '-display', 'none', '-no-reboot',
            '-kernel', str(kernel.kernel(booted())), '-initrd', str(initramfs()),
            '-append', 'console=ttyS0 panic=-1 psi=1 quiet loglevel=7 random.trust_cpu=on '
            # Else a busy host makes it panic: IO-APIC + timer doesn't work.
            'no_timer_check',
            *disk(VM / 'root.img', ',snapshot=on'), *disk(run / 'sources.tar', ',readonly=on'),
            *disk(run / 'results'), *(disk(run / 'swap') if SWAP_MIB else ()),
            '-serial', f'file:{run / "console.log"}',
            '-chardev', 'stdio,id=tests,signal=off', '-serial', 'chardev:tests']


def boot(run: pathlib.Path) -> bool:
    """Run the guest, show its output, and tell whether it ended in time."""
    child = subprocess.Popen(command(run), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert child.stdout is not None
    watchdog = threading.Timer(TIMEOUT_S, child.kill)
    watchdog.start()
    try:
        for line in child.stdout:
            print(line.decode(errors='replace').rstrip('\r\n'), flush=True)
        return child.wait() == 0
    finally:
        watchdog.cancel()
        child.kill()
        child.wait()


def results(run: pathlib.Path) -> int:
    """Unpack what the guest brought back and return pytest's exit code, 3 without one."""
    shutil.rmtree(BROUGHT, ignore_errors=True)
    BROUGHT.mkdir(parents=True)
    shutil.copy2(run / 'console.log', BROUGHT / 'console.log')
    try:
        with tarfile.open(run / 'results') as archive:
            for member in archive:
                if member.isfile() and not os.path.isabs(member.name) and '..' not in member.name:
                    archive.extract(member, BROUGHT)
        return int((BROUGHT / 'code').read_text())
    except (tarfile.TarError, OSError, ValueError) as error:
        print(f'vm-test: the guest brought no results ({error}); the end of its kernel log:')
        log = (BROUGHT / 'console.log').read_text(errors='replace').splitlines()
        print('\n'.join(log[-40:]))
        return 3


def main() -> int:
    """Return pytest's exit code; 2 when something is missing, 3 when the guest failed."""
    packages = missing()
    if packages:
        print(f'vm-test: not run, missing here: apt-get install --no-install-recommends '
              f'{" ".join(packages)}')
        return 2
    try:
        prepare()
    except archive.Unavailable as error:
        print(f'vm-test: no kernel for the guest: {error}; apt-get update, or put a kernel '
              f'package and busybox-static into {VM / "packages"} yourself')
        return 2
    if KERNELS_ONLY is not None:
        prepare_probes(KERNELS_ONLY.split())
        return 0
    if SYSTEMD and not image.chosen(VM / 'system'):
        print("vm-test: skipped what needs systemd as process 1: Debian's packages cannot be had")
        return 0
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(dir=VM) as name:
        run = pathlib.Path(name)
        pack(run / 'sources.tar', sys.argv[1:])
        with open(run / 'results', 'wb') as stream:
            stream.truncate(RESULTS_BYTES)
        if SWAP_MIB:
            with open(run / 'swap', 'wb') as stream:
                stream.truncate(SWAP_MIB << 20)
        ended = boot(run)
        if not ended:
            print(f'vm-test: the guest did not end by itself within {TIMEOUT_S:g} s')
        code = results(run)
    print(f'vm-test: guest ran {time.monotonic() - began_s:.0f} s; kernel log and junit.xml '
          f'in {BROUGHT}', flush=True)
    return code if ended else code or 3


if __name__ == '__main__':
    sys.exit(main())
