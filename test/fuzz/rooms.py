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
Fuzz what is read from outside with atheris, guided by coverage; not part of the test run.

`python test/fuzz/rooms.py TARGET -max_total_time=600 [CORPUS_DIR]` (libFuzzer's options), or
`make fuzz`.  Targets: files (of the kernel), state (files of the sentinel), params (parameter
files, selectors and values), incident (folders, by the command line), tree (captured trees, by
the command line).  Whatever the bytes: a value or the documented error.
"""

import contextlib
import io
import json
import os
import pathlib
import shutil
import sys
import tempfile

import atheris

ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix='oom_sentinel_fuzz_'))
os.environ['OOM_SENTINEL_STATE'] = str(FOLDER / 'state')

with atheris.instrument_imports(include=['oom_sentinel']):
    from oom_sentinel import kernel
    from oom_sentinel import settings
    from oom_sentinel.cli.main import main as command_line
    from oom_sentinel.kernel.files import cgroup
    from oom_sentinel.kernel.files import meminfo
    from oom_sentinel.kernel.files import ParseError
    from oom_sentinel.kernel.files import pressure
    from oom_sentinel.kernel.files import program
    from oom_sentinel.kernel.files import stat
    from oom_sentinel.kernel.files import status
    from oom_sentinel.kernel.files import swaps
    from oom_sentinel.kernel.files import unit
    from oom_sentinel.kernel.files import vmstat
    from oom_sentinel.protection import last_report
    from oom_sentinel.protection import launch_record
    from oom_sentinel.protection import saved
    from oom_sentinel.settings import outside
    from oom_sentinel.settings import parameter_file
    from oom_sentinel.settings import selector

PARSERS = (meminfo.parse, pressure.parse, vmstat.parse, stat.parse, status.parse, swaps.parse,
           cgroup.memory_mounts, cgroup.systemd_path, lambda data: cgroup.memory_path(data, 1),
           lambda data: cgroup.memory_path(data, 2),
           lambda data: swaps.mm_stat(data, 'zram0', 1 << 30),
           lambda data: vmstat.keyed(data, (b'oom_kill', b'high'), 'memory.events'),
           lambda data: unit.settings([data], 'Service'), kernel.root.parse_capture)
BOOT = 'this-boot'
CAPTURE = ROOT / 'test' / 'fixtures' / 'vm-debian12-6.18'
TREE = FOLDER / 'tree'
TREE_VERBS = (('order',), ('status',), ('doctor',), (
    'plan', '--params-file', str(ROOT / 'config' / 'turtlebot3.yaml')))
LIVE = kernel.Root('/')
PARTS = ('incident.json', 'history.csv', 'processes.json', 'kernel.log')
SEPARATOR = b'\n--8<--\n'
OUTPUT = 1 << 20  # characters that a verb may print


def files(data):
    """Give the bytes to the parser that the first one chooses, and as words to the classifier."""
    if not data:
        return
    with contextlib.suppress(ParseError, ValueError):
        PARSERS[data[0] % len(PARSERS)](data[1:])
    words = [word.decode('utf-8', 'surrogateescape') for word in data.split(b'\0')]
    program.classify(words[0], words[1:], words[-1])
    unit.unit_of(words[0])
    shown = outside.printable(words[0])
    assert shown.isprintable() and len(shown) <= outside.NAME_MAX * 10
    outside.scrubbed(words)


def state(data):
    """Read the bytes as each file that the sentinel keeps, with a living writer."""
    with contextlib.suppress(ValueError, RecursionError):
        assert all(-999 <= entry.original <= 1000
                   for entry in saved._entries(data, BOOT).values())
    folder = FOLDER / 'state'
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / 'launch').mkdir(mode=0o700, exist_ok=True)
    own = saved.own_identity(LIVE)
    content = data.replace(b'4242', str(own.pid).encode()).replace(
        b'2424', str(own.start_time).encode())
    for path in (folder / last_report.NAME, folder / 'launch' / 'x.json'):
        path.write_bytes(content)
        path.chmod(0o600)
    with contextlib.suppress(ValueError):
        last_report.read(LIVE)
    launch_record.LaunchRecords(str(folder), BOOT, LIVE).read()


def params(data):
    """Read the bytes as a parameter file, a selector, and the values of parameters."""
    with contextlib.suppress(parameter_file.ParamsError):
        parameter_file.load('x', read=lambda _path, most: data[:most + 1])
    text = data.decode('utf-8', 'replace')
    with contextlib.suppress(selector.SelectorError):
        found = selector.parse(text)
        selector.glob_matches(text[::-1], found.pattern)
    with contextlib.suppress(ValueError, RecursionError):
        values = json.loads(text)
        if isinstance(values, dict):
            settings.build(values)
            settings.unknown(values)


def run(*words):
    """Run a verb; only the documented exit codes, one line when it cannot, bounded output."""
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        code = command_line(list(words))
    assert code in (0, 1, 2), code
    assert code != 2 or complained.getvalue().count('\n') == 1, complained.getvalue()
    assert len(said.getvalue()) < OUTPUT


def incident(data):
    """Make a page of an incident folder whose files are the parts of the bytes."""
    folder = FOLDER / 'incident'
    folder.mkdir(exist_ok=True)
    for name, content in zip(PARTS, data.split(SEPARATOR, len(PARTS) - 1)):
        (folder / name).write_bytes(content)
    run('report', str(folder), '-o', str(FOLDER / 'page.html'))


def tree_files():
    """Return the files of the captured tree."""
    return sorted(str(path.relative_to(TREE)) for path in TREE.rglob('*') if path.is_file())


def tree(data):
    """Change some bytes of some files of a captured tree, and run a verb on it."""
    names = tree_files.found
    provider = atheris.FuzzedDataProvider(data)
    verb = TREE_VERBS[provider.ConsumeIntInRange(0, len(TREE_VERBS) - 1)]
    changed = {}
    for _ in range(provider.ConsumeIntInRange(1, 6)):
        name = names[provider.ConsumeIntInRange(0, len(names) - 1)]
        content = (CAPTURE / name).read_bytes()
        at = provider.ConsumeIntInRange(0, len(content))
        gone = provider.ConsumeIntInRange(0, 8)
        changed[name] = content[:at] + provider.ConsumeBytes(12) + content[at + gone:]
    for name, content in changed.items():
        (TREE / name).write_bytes(content)
    try:
        run(*verb, '--root', str(TREE), *(['--json'] if provider.ConsumeBool() else []))
    finally:
        for name in changed:
            (TREE / name).write_bytes((CAPTURE / name).read_bytes())


TARGETS = {'files': files, 'state': state, 'params': params, 'incident': incident, 'tree': tree}
IDENTITY = b'"pid": 4242, "start_time": 2424'
SEEDS = {
    'files': [bytes([number]) + b'MemTotal: 100 kB\nsome avg10=0.00 avg60=1.50 total=7\n0::/c\n'
              for number in range(len(PARSERS))],
    'state': [b'{"boot_id": "this-boot", %s, "processes": [{%s, "original": -5, "written": 7, '
              b'"node_names": ["/a"], "asked": 5}], "statuses": [{"name": "Memory", "level": 1, '
              b'"message": "m", "values": [["k", "v"]]}], "node_name": "/n", "hardware_id": "h", '
              b'"wall_s": 1.0, "boottime_s": 2.0, "publish_period_s": 1.0}'
              % (IDENTITY, IDENTITY)],
    'params': [(ROOT / 'config' / 'turtlebot3.yaml').read_bytes(), b'!node:/robot1/*',
               b'{"groups": ["a"], "group.a.match": ["exe:x*"], "hold_s": 1e3}'],
    'incident': [SEPARATOR.join((
        b'{"kind": "oom_kill", "time": 1.0, "host": "h", "victim_pid": 5, "victim_comm": "x", '
        b'"tasks": [{"pid": 5, "rss_pages": 7, "oom_score_adj": 0, "name": "x"}], "page_size": '
        b'4096, "totalpages": 1000}', b'time,mem_available_bytes,x rss_bytes\n1,2,3\n',
        b'{"page_size": 4096, "processes": [{"pid": 5, "rss_bytes": 7}]}', b'<6>[ 1.0] a\n'))],
    'tree': [bytes(range(64))]}


def main():
    """Fuzz the target that is named first."""
    target, *words = sys.argv[1:]
    corpus = FOLDER / 'corpus'
    corpus.mkdir()
    for number, seed in enumerate(SEEDS[target]):
        (corpus / str(number)).write_bytes(seed)
    if target == 'tree':
        shutil.copytree(CAPTURE, TREE)
        tree_files.found = tree_files()
    os.chdir(FOLDER)  # crashing inputs are written here, and named
    atheris.Setup([sys.argv[0], *words, str(corpus)], TARGETS[target])
    atheris.Fuzz()


if __name__ == '__main__':
    main()
