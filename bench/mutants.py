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
See whether the tests or the type checker notice a changed operator, number or word of the code.

The changes are mutmut's.  Everything is imported and collected once; each mutant is tried in a
fork, by the tests that call its function, the quickest first, until one fails; mypy judges those
that pass them all.  Nothing in the tree is changed.
"""

import argparse
import ast
from dataclasses import dataclass
import difflib
import functools
import importlib
import os
from pathlib import Path
import pickle
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from types import CodeType

from _pytest.runner import runtestprotocol
import hypothesis
import libcst
from libcst.metadata import MetadataWrapper
from mutmut.mutation import file_mutation
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode
import pytest

MEMORY_BYTES = 4 << 30  # more than this is a loop that collects for ever
PATIENCE, PATIENCE_S = 5.0, 10.0  # times the CPU that the tests took before, and more


@dataclass(frozen=True)
class Mutant:
    """One change that is not made yet: of which function, and the how manyth there."""

    path: str
    names: tuple[str, ...]
    number: int
    module: libcst.Module
    node: libcst.FunctionDef
    change: file_mutation.Mutation

    @property
    def name(self):
        """Return its name, which stays while its function does."""
        return f'{self.path}:{".".join(self.names)}:{self.number}'

    @functools.cached_property
    def text(self):
        """Return the text of the file with this change."""
        changed = file_mutation.deep_replace(
            self.node, self.change.original_node, self.change.mutated_node)
        return file_mutation.deep_replace(self.module, self.node, changed).code

    @property
    def lines(self):
        """Return the lines that differ."""
        return '\n'.join(list(difflib.unified_diff(
            self.module.code.splitlines(), self.text.splitlines(), lineterm='', n=0))[2:])

    @property
    def live(self):
        """Return the function that runs in this process."""
        found = importlib.import_module(
            self.path.removesuffix('.py').removesuffix('/__init__').replace('/', '.'))
        for name in self.names:
            found = vars(found)[name]
        return getattr(found, '__func__', found)

    def apply(self):
        """Let this process run the changed function."""
        live, told = self.live, self.live.__globals__
        code, tree = compile(self.text, live.__code__.co_filename, 'exec'), ast.parse(self.text)
        for name in self.names:
            code = [c for c in code.co_consts
                    if isinstance(c, CodeType) and c.co_name == name][-1]
            tree = [n for n in tree.body if getattr(n, 'name', '') == name][-1]
        live.__code__ = code

        def value(node):
            return eval(compile(ast.Expression(node), 'default', 'eval'), told)
        live.__defaults__ = tuple(map(value, tree.args.defaults)) or None
        live.__kwdefaults__ = {
            a.arg: value(d) for a, d in zip(tree.args.kwonlyargs, tree.args.kw_defaults)
            if d is not None} or None


def mutants(path):
    """Return every change of a file that mutmut knows."""
    visitor = file_mutation.MutationVisitor(mutation_operators, IgnoredCode(set(), set(), set()))
    module = MetadataWrapper(libcst.parse_module(Path(path).read_text('utf-8'))).visit(visitor)
    found = []
    for node, changes in file_mutation.group_by_top_level_node(visitor.mutations).items():
        if isinstance(node, libcst.FunctionDef):
            owner = [c.name.value for c in module.body
                     if isinstance(c, libcst.ClassDef) and node in c.body.body]
            found += [Mutant(path, (*owner, node.name.value), number, module, node, change)
                      for number, change in enumerate(changes, 1)]
    return found


def in_fork(work, seconds=None):
    """Return what the work returned in a child of this process, None when it died of it."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        if seconds is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        try:
            with open(writer, 'wb') as stream:
                pickle.dump(work(), stream)
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, 'rb') as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return pickle.loads(said) if said else None


def measured(items, paths):
    """Run every test: return the seconds of CPU of each, and which functions it calls."""
    found = {}
    paths = {os.path.realpath(path) for path in paths}
    for item in items:
        called, began_s = set(), time.process_time()

        def note(frame, event, _value, called=called):
            if event == 'call' and frame.f_code.co_filename in paths:
                called.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))
        sys.setprofile(note)
        reports = runtestprotocol(item, nextitem=None, log=False)
        sys.setprofile(None)
        failed = [r for r in reports if r.failed]
        if failed:
            return f'{item.nodeid} fails without any change:\n{failed[0].longreprtext}'
        found[item.nodeid] = (time.process_time() - began_s, called)
    return found


def failing(items, mutant):
    """Return the name of the first test that fails with this change; '' when all pass."""
    mutant.apply()
    for item in items:
        if any(r.failed for r in runtestprotocol(item, nextitem=None, log=False)):
            return item.nodeid
    return ''


def typed(mutant, copy):
    """Return whether mypy accepts the change, in the copy of the package."""
    changed = copy / mutant.path
    changed.write_text(mutant.text, 'utf-8')
    done = subprocess.run([sys.executable, '-m', 'mypy', 'oom_sentinel'], cwd=copy,
                          capture_output=True, text=True)
    changed.write_text(mutant.module.code, 'utf-8')
    return done.returncode == 0


class Trial:
    """A plugin of pytest that tries the mutants instead of running the tests."""

    def __init__(self, sample, copy, options):
        """Keep what is tried."""
        self.sample, self.copy = sample, copy
        self.paths, self.verbose = options.files, options.verbose

    def pytest_configure(self):
        """Play few examples, the same each time."""
        hypothesis.settings.register_profile(
            'mutants', deadline=None, derandomize=True, max_examples=25, database=None)
        hypothesis.settings.load_profile('mutants')

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        """Try each mutant and print those that survive."""
        found = in_fork(lambda: measured(session.items, self.paths))
        if not isinstance(found, dict):
            raise pytest.UsageError(found or 'the tests ended the interpreter')
        counts = dict.fromkeys(
            ('killed by a test', 'out of time or memory', 'killed by mypy', 'survived'), 0)
        for mutant in self.sample:
            code = mutant.live.__code__
            place = (code.co_filename, code.co_firstlineno)
            items = sorted((i for i in session.items if place in found[i.nodeid][1]),
                           key=lambda i: found[i.nodeid][0])
            seconds = PATIENCE_S + PATIENCE * sum(found[i.nodeid][0] for i in items)
            failed = in_fork(functools.partial(failing, items, mutant), seconds)
            verdict = 'out of time or memory' if failed is None else \
                'killed by a test' if failed else \
                'survived' if typed(mutant, self.copy) else 'killed by mypy'
            counts[verdict] += 1
            if self.verbose or verdict == 'survived':
                print(f'{mutant.name}: {verdict} {failed or ""} ({len(items)} tests)\n'
                      + mutant.lines, flush=True)
        tried = len(self.sample)
        print(f'{tried} mutants: ' + ', '.join(f'{n} {what}' for what, n in counts.items())
              + f' ({100.0 * (tried - counts["survived"]) / max(1, tried):.1f} % killed)')
        return True


def main():
    """Read the command line and try the mutants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('files', nargs='+')
    parser.add_argument('--tests', required=True)
    parser.add_argument('--sample', type=int, help='so many, drawn at random from all files')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--only', nargs='+', metavar='NAME', help='these mutants alone')
    parser.add_argument('--verbose', action='store_true', help='show the killed ones too')
    options = parser.parse_args()
    found = [m for path in sorted(options.files) for m in mutants(path)]
    print(f'{len(found)} mutants in all', flush=True)
    if options.only:
        found = [m for m in found if m.name in options.only]
    if options.sample is not None and options.sample < len(found):
        found = random.Random(options.seed).sample(found, options.sample)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree('oom_sentinel', copy / 'oom_sentinel')
        shutil.copy('setup.cfg', copy)
        return pytest.main(['-qq', '-s', '-p', 'no:cacheprovider', '-p', 'no:xdist',
                            '-p', 'no:randomly', '-W', 'ignore::pytest.PytestAssertRewriteWarning',
                            options.tests],
                           [Trial(found, copy, options)])


if __name__ == '__main__':
    sys.exit(main())
