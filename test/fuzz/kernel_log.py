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
Fuzz the kernel's log reader with atheris, guided by coverage; not part of the test run.

`pip install atheris`, then `python test/fuzz/kernel_log.py -max_total_time=300 [CORPUS_DIR]`
(libFuzzer's options).  Whatever the bytes: no exception, and the same victims by lines and
by blocks.
"""

import pathlib
import re
import sys
import tempfile

import atheris

ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'test')]

with atheris.instrument_imports(include=['oom_sentinel']):
    from oom_sentinel.kills.oom_report import Parser
    from oom_sentinel.kills.oom_report import Stream
from printk import ENVELOPES  # noqa: E402,I100
from printk import KERNELS  # noqa: E402
from printk import Report  # noqa: E402
from printk import Task  # noqa: E402
from printk import wrapped  # noqa: E402

BOOT_ID = re.compile(rb'_BOOT_ID\W{1,5}([^\n",]*)')


def one_input(data):
    """Read the bytes in both ways."""
    parser = Parser('fuzz', 1e9, now_s=1.79e9)
    by_lines = [k for line in data.removesuffix(b'\n').split(b'\n')
                for k in parser.feed(line)]
    by_lines += parser.end()
    stream = Stream(Parser('fuzz', 1e9, now_s=1.79e9))
    by_blocks = list(stream.feed(data[:len(data) // 3]) + stream.feed(data[len(data) // 3:])
                     + stream.end())
    # Entries of several boots between lines of text: those that cannot matter are left out, and
    # with them the news that another boot began.
    if len(set(BOOT_ID.findall(data))) < 2:
        assert {k.victim_pid for k in by_lines} == {k.victim_pid for k in by_blocks}


def seeds():
    """Write a corpus: each kernel's report, each envelope once."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='oom_sentinel_fuzz_'))
    tasks = (Task(77, b'asker'), Task(500, b'rviz2', rss=40000))
    for number, envelope in enumerate(ENVELOPES):
        report = Report(KERNELS[number % len(KERNELS)], tasks,
                        memcg=b'/robot' if number % 2 else None)
        (folder / envelope).write_bytes(wrapped(report.lines(), envelope))
    return str(folder)


if __name__ == '__main__':
    words = sys.argv[1:]
    if not any(not word.startswith('-') for word in words):
        words.append(seeds())
    atheris.Setup([sys.argv[0], *words], one_input)
    atheris.Fuzz()
