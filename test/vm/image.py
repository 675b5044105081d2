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
The guest's root disk: this virtual environment, its interpreter, and the libraries they need.

Everything keeps the path it has on the host, so that the scripts and links of the virtual
environment hold.  The sources are not on it: boot.py hands them over at each run.  Debian's
systemd, the peers that kill before the kernel does, and a container runtime are on it too; they
are unpacked, never configured, so what their maintainer scripts would write stands in ETC.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

# What the tests call; busybox does the rest.
TOOLS = ('sh', 'bash', 'env', 'sleep', 'cat', 'setpriv', 'choom', 'dmesg', 'id', 'gzip', 'stty')
# Checkers and installers: big, and of no use in the guest; hypothesis takes it 10 s to import.
LEFT_OUT = {'hypothesis', 'mypy', 'mypyc', 'pip', 'test', 'idlelib', 'tkinter', 'ensurepip',
            'lib2to3', 'include', 'site-packages', 'dist-packages'}
SPARE_MIB = 192
PACKAGES = ('systemd', 'dbus', 'libpam-systemd', 'systemd-oomd', 'earlyoom', 'nohang', 'crun',
            'kmod')
PODMAN = ('podman', 'fuse-overlayfs-', 'netavark-')  # its size is why it is on no disk
# Dependencies of maintainer scripts, and of what nobody calls in the guest.
UNUSED = re.compile(r'adduser|debconf|dpkg|init-system-helpers|.*perl|perl.*|libdb5|libgdbm|media-'
                    r'|libgssapi|libkrb5|libk5|libtirpc|libnsl|passwd|usrmerge|libpam-runtime'
                    r'|gnupg|gpg|dirmngr|pinentry|containernetworking')
ETC = {
    'passwd': 'root:x:0:0:root:/root:/bin/sh\nrobot:x:1000:1000:robot:/home/robot:/bin/sh\n'
              'messagebus:x:100:100::/nonexistent:/bin/false\n'
              'systemd-oom:x:101:101::/nonexistent:/bin/false\n'
              'nobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n',
    'group': 'root:x:0:\nadm:x:4:\nrobot:x:1000:\nsystemd-journal:x:102:\nmessagebus:x:100:\n'
             'systemd-oom:x:101:\nnogroup:x:65534:\n',
    'machine-id': '00000000000000000000000000006775\n',
    'fstab': '',
    **{f'pam.d/common-{name}': f'{name.partition("-")[0]} required pam_permit.so\n' for name in (
        'account', 'auth', 'password', 'session', 'session-noninteractive')},
    'hosts': '127.0.0.1 localhost guest\n',
    'hostname': 'guest\n',
}
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox tar -x -f /dev/vdb -C /
exec /bin/busybox sh /guest/init
"""


def _stdlib() -> set[pathlib.Path]:
    return {pathlib.Path(sysconfig.get_path(name)) for name in ('stdlib', 'platstdlib')}


def chosen(packages: pathlib.Path) -> list[pathlib.Path]:
    """Return the downloaded packages that the guest needs, none where none could be had."""
    return sorted(path for path in packages.glob('*.deb') if not UNUSED.match(path.name))


def key(busybox: pathlib.Path, packages: pathlib.Path) -> str:
    """Return a digest of all that the image is made from; the kernel is not on it."""
    digest = hashlib.sha256(pathlib.Path(__file__).read_bytes())
    digest.update(' '.join(path.name for path in chosen(packages)).encode())
    digest.update(f'{sys.version} {sys.base_prefix}'.encode())
    digest.update(busybox.read_bytes())
    for place, folders, names in os.walk(sys.prefix):
        folders[:] = sorted(f for f in folders if f != '__pycache__')
        if place == sys.prefix:  # logs of the tests and of pip, marks of make
            names = ['pyvenv.cfg']
        for name in sorted(names):
            path = os.path.join(place, name)
            state = os.lstat(path)
            if os.path.islink(path):  # each `make setup` makes ours anew
                digest.update(f'{path} {os.readlink(path)}\n'.encode())
            elif 'oom_sentinel' in path[len(sys.prefix):]:
                digest.update(f'{path}\n'.encode() + pathlib.Path(path).read_bytes())
            else:
                digest.update(f'{path} {state.st_size} {state.st_mtime_ns}\n'.encode())
    return digest.hexdigest()


class Staging:
    """A folder that becomes the root disk."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Make it, with /usr merged as on the host."""
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        for name in ('dev', 'proc', 'sys', 'run', 'tmp', 'root', 'etc', 'home/robot', 'var/tmp',
                     'usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64'):
            (folder / name).mkdir(parents=True)
        for name in ('bin', 'sbin', 'lib', 'lib64'):
            (folder / name).symlink_to(f'usr/{name}')

    def package(self, path: pathlib.Path) -> None:
        """Unpack a Debian package, without its documentation; /lib stays a link to /usr/lib."""
        with subprocess.Popen(['dpkg', '--fsys-tarfile', str(path)],
                              stdout=subprocess.PIPE) as opened:
            subprocess.run(['tar', '-x', '--keep-directory-symlink', '-C', str(self.folder),
                            '--exclude=./usr/share/doc', '--exclude=./usr/share/man',
                            '--exclude=./usr/share/locale', '--exclude=./usr/lib/udev/hwdb.d'],
                           stdin=opened.stdout, check=True)
        if opened.returncode:
            raise subprocess.CalledProcessError(opened.returncode, 'dpkg --fsys-tarfile')

    def inside(self, path: pathlib.Path) -> pathlib.Path:
        """Return where a host's path is in the folder."""
        return self.folder / path.relative_to('/')

    def file(self, path: pathlib.Path) -> None:
        """Copy a file, and the link that leads to it."""
        real = pathlib.Path(os.path.realpath(path))
        target = self.inside(real)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(real, target)
        link = self.inside(path)
        if path != real and not os.path.lexists(link):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(real)

    def tree(self, path: pathlib.Path, left_out: set[str] = LEFT_OUT) -> None:
        """Copy a folder without the names left out, links as they are, unless one is there."""
        def passed_over(place, names):
            there = self.inside(pathlib.Path(place))
            # A module's code that is being written meanwhile has such a name: x.pyc.12345.
            return {name for name in names if name in left_out or '__mypyc.' in name
                    or '.pyc.' in name
                    or (there / name).is_symlink()}
        shutil.copytree(path, self.inside(path), symlinks=True, dirs_exist_ok=True,
                        ignore=passed_over)

    def libraries(self) -> None:
        """Copy every shared library of the host that a copied file needs."""
        files = [os.path.join(place, name) for place, _, names in os.walk(self.folder)
                 for name in names if '.so' in name or place.endswith('/bin')]
        shown = subprocess.run(['ldd', *files], capture_output=True, text=True).stdout
        found = {line.split('=>')[-1].split()[0] for line in shown.splitlines()
                 if line.startswith('\t') and ' (0x' in line}
        ours = (str(self.folder), sys.prefix)
        # glibc opens libgcc_s itself when a thread ends.
        for line in subprocess.run(['ldconfig', '-p'], capture_output=True, text=True,
                                   env={'PATH': '/sbin:/usr/sbin'}).stdout.splitlines():
            if 'libgcc_s.so.1 ' in line and 'x86-64' in line:
                found.add(line.split()[-1])
        for name in sorted(found):
            if name.startswith('/') and not name.startswith(ours):
                self.file(pathlib.Path(name))


def unpack(packages: pathlib.Path, known: pathlib.Path, folder: pathlib.Path) -> None:
    """Unpack the packages that are not among the known ones, which are on the root disk."""
    staging = Staging(folder.with_suffix('.staging'))
    there = {path.name for path in chosen(known)}
    for path in chosen(packages):
        if path.name not in there:
            staging.package(path)
    staging.folder.rename(folder)


def build(busybox: pathlib.Path, packages: pathlib.Path, image: pathlib.Path) -> None:
    """
    Make the root disk.

    :raises subprocess.CalledProcessError: when dpkg, tar or mke2fs fails.
    """
    staging = Staging(image.with_suffix('.staging'))
    for path in chosen(packages):
        staging.package(path)
    for folder in _stdlib():
        staging.tree(folder)
    staging.tree(pathlib.Path(sys.prefix), LEFT_OUT - {'site-packages'})
    for name in TOOLS:
        path = shutil.which(name)
        if path is not None:
            staging.file(pathlib.Path(path))
    python = pathlib.Path(sys.executable)
    while python.is_symlink():
        python = python.parent / os.readlink(python)
        staging.file(python)
    shutil.copy2(busybox, staging.folder / 'bin/busybox')
    for name in subprocess.run([str(busybox), '--list'], check=True, capture_output=True,
                               text=True).stdout.split():
        link = staging.folder / 'bin' / name
        if not os.path.lexists(link):
            link.symlink_to('busybox')
    staging.libraries()
    for name, text in ETC.items():
        path = staging.folder / 'etc' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='ascii')
    (staging.folder / 'init').write_text(INIT, encoding='ascii')
    (staging.folder / 'init').chmod(0o755)
    used = sum(os.lstat(os.path.join(place, name)).st_size + 4096
               for place, folders, names in os.walk(staging.folder) for name in names + folders)
    partly = image.with_suffix('.part')
    partly.unlink(missing_ok=True)
    subprocess.run(['mke2fs', '-q', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-d',
                    str(staging.folder), str(partly), f'{(used >> 20) * 11 // 10 + SPARE_MIB}M'],
                   check=True, env={**os.environ, 'PATH': os.environ['PATH'] + ':/sbin:/usr/sbin'})
    os.replace(partly, image)
    shutil.rmtree(staging.folder)
