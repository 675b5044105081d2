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
Debian's archive, read by apt: with this machine's own sources, or those of another release.

Nothing is installed: packages are downloaded and unpacked.  The lists of another release stand
in a folder of our own, so that the host's apt never sees them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
import pathlib
import re
import subprocess

KEYRINGS = ('/usr/share/keyrings/debian-archive-keyring.gpg',
            '/usr/share/keyrings/debian-archive-keyring.pgp')
MIRROR = 'http://deb.debian.org'
CLOUD = 'cloud-amd64'
# Kernels from 6.19 on come in parts: vmlinuz in one package, the modules in another.
PARTS = re.compile(r'linux-(binary|modules)-\d')
UPDATE_S = 300


class Unavailable(Exception):
    """A package cannot be had here; the text says why."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What apt can download, with these options."""

    options: tuple[str, ...] = ()

    def depends(self, package: str) -> tuple[str, ...]:
        """
        Return the names of the packages that a package depends on.

        :raises Unavailable: when apt does not know it.
        """
        shown = self._apt('apt-cache', 'depends', package)
        return tuple(line.split()[-1] for line in shown.splitlines() if ' Depends: ' in line)

    def kernel_packages(self, version: str = '', flavour: str = CLOUD) -> tuple[str, ...]:
        """
        Return the packages that hold a kernel of Debian and its modules.

        :param version: the beginning of its version, 6.18.1; the release's newest when empty.
        :param flavour: what its name ends with: cloud-amd64, arm64-16k.
        :raises Unavailable: when apt knows none.
        """
        if version:
            known = self._apt('apt-cache', 'pkgnames', f'linux-image-{version}').split()
            images = sorted(name for name in known if name.endswith(f'-{flavour}'))
        else:
            images = [name for name in self.depends(f'linux-image-{flavour}')
                      if re.match(r'linux-image-\d', name)]
        if not images:
            raise Unavailable(f'apt knows no kernel {version or flavour}')
        return (images[0], *(n for n in self.depends(images[0]) if PARTS.match(n)))

    def unpack(self, names: Iterable[str], packages: pathlib.Path, folder: pathlib.Path) -> None:
        """
        Download the packages that are not there yet, and unpack all that are there.

        :raises Unavailable: when one cannot be downloaded.
        """
        packages.mkdir(parents=True, exist_ok=True)
        packages = packages.absolute()
        for name in names:
            if not list(packages.glob(f'{name}_*.deb')):
                self._apt('apt-get', '-q', 'download', name, cwd=packages)
        for package in sorted(packages.glob('*.deb')):
            subprocess.run(['dpkg', '-x', str(package), str(folder)], check=True)

    def closure(self, names: Iterable[str], folder: pathlib.Path) -> None:
        """
        Download packages with all that they depend on, as for an empty machine.

        :raises Unavailable: when apt does not know one, or there is no network.
        """
        (folder / 'partial').mkdir(parents=True, exist_ok=True)
        self._apt('apt-get', '-q', '-y', '-oDebug::NoLocking=1', '-oDir::State::status=/dev/null',
                  f'-oDir::Cache::archives={folder.absolute()}', '--no-install-recommends',
                  '--download-only', 'install', *names)

    def _apt(self, *command: str, cwd: pathlib.Path | None = None) -> str:
        try:
            done = subprocess.run([command[0], *self.options, *command[1:]], cwd=cwd, text=True,
                                  capture_output=True, timeout=UPDATE_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f'{command[0]}: {error}') from error
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ['no reason given'])[-1]
            raise Unavailable(f'{" ".join(command)}: {last}')
        return done.stdout


def of_release(release: str, folder: pathlib.Path, machine: str = '') -> Archive:
    """
    Return the archive of a Debian release, its lists in this folder.

    :param release: a suite's name: bullseye, trixie, trixie-backports, sid.
    :param machine: Debian's name of another architecture than this machine's.
    :raises Unavailable: without Debian's keyring, apt or a network.
    """
    keyring = next((name for name in KEYRINGS if pathlib.Path(name).exists()), None)
    if keyring is None:
        raise Unavailable(f"Debian's keyring ({KEYRINGS[0]}) is not installed")
    for name in ('lists/partial', 'cache/archives/partial'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    suites = [('debian', name) for name in {release, release.removesuffix('-backports')}]
    if release != 'sid' and '-' not in release:
        suites.append(('debian-security', f'{release}-security'))
    sources = folder / 'sources.list'
    sources.write_text(''.join(f'deb [signed-by={keyring}] {MIRROR}/{name} {suite} main\n'
                               for name, suite in suites), encoding='ascii')
    settings = {'Dir::Etc::sourcelist': sources, 'Dir::Etc::sourceparts': '/dev/null',
                'Dir::State::lists': folder / 'lists', 'Dir::State::status': '/dev/null',
                'Dir::Cache': folder / 'cache',
                'Acquire::Languages': 'none', 'APT::Update::Error-Mode': 'any'}
    if machine:
        settings |= {'APT::Architecture': machine, 'APT::Architectures': machine}
    archive = Archive(tuple(f'-o{key}={value}' for key, value in settings.items()))
    archive._apt('apt-get', '-q', 'update')
    return archive
