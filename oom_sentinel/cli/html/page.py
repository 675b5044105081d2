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

"""A story as one HTML page: nothing is loaded from outside, everything is escaped."""

from collections.abc import Iterable
from collections.abc import Sequence
from html import escape

from oom_sentinel.cli.html import plots
from oom_sentinel.cli.html.kernel_log import local_time
from oom_sentinel.cli.html.story import Chapter
from oom_sentinel.cli.html.story import MarkKind
from oom_sentinel.cli.html.story import Moment
from oom_sentinel.cli.html.story import Story
from oom_sentinel.cli.html.story import Task
from oom_sentinel.facts.memory import MIB
from oom_sentinel.settings.outside import printable

STYLE = """
:root { --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --grid: #b9c0c8; --alarm: #c0251b;
  --band: #f3f5f7; --killed: #fde0dd; --protected: #e2f3e4; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e6e9ec; --soft: #9aa4ae;
  --grid: #4a5560; --alarm: #ff6f61; --band: #1d2226; --killed: #4a201d; --protected: #1c3a24; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 0.5rem; }
.source { color: var(--soft); font-size: 0.9rem; margin: 0.25rem 0; }
.lead { font-size: 1.1rem; }
figure { margin: 1.5rem 0; }
figcaption { font-weight: 600; margin-bottom: 0.25rem; }
.wide { overflow-x: auto; }
.wide svg { width: 100%; min-width: 22rem; height: auto; display: block; }
table { border-collapse: collapse; font-size: 0.9rem; min-width: 100%; overflow-wrap: normal; }
th, td { text-align: left; padding: 0.25rem 0.6rem; border-bottom: 1px solid var(--grid);
  vertical-align: top; }
th { background: var(--band); }
tr.killed td { background: var(--killed); font-weight: 600; }
tr.protected td { background: var(--protected); }
li.kill b, li.stall b { color: var(--alarm); }
summary { cursor: pointer; margin: 0.75rem 0; font-weight: 600; }
pre { overflow-x: auto; background: var(--band); padding: 0.75rem; font-size: 0.8rem;
  overflow-wrap: normal; }
"""


TASKS_MAX, FACTS_MAX, MOMENTS_SHOWN, MARKS_SHOWN = 60, 60, 24, 40
TEXT_MAX, LOG_MAX = 4000, 2000
NO_PLOTS = ('matplotlib is not installed, so there are tables instead of plots: '
            'apt-get install python3-matplotlib, or pip install matplotlib.')
# The page may neither run nor load anything.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
HEAD = ('PID', 'Process', 'Group', 'Badness', 'oom_score_adj', 'RSS (MiB)', 'Swap (MiB)')


def page(story: Story) -> str:
    """Return the whole document."""
    drawn = plots.figures(story) if story.moments or story.curves else []
    notes = list(story.notes) + ([NO_PLOTS] if drawn is None else [])
    # What happened comes first, in words; a page of several kills has one section for each.
    first, rest = (story.chapters, ()) if len(story.chapters) == 1 else ((), story.chapters)
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<link rel="icon" href="data:,">',
        f'<title>{_text(story.title)}</title><style>{STYLE}</style></head><body><main>',
        f'<h1>{_text(story.title)}</h1>',
        f'<p class="source">{_text(_source(story))}</p>',
        *(part for chapter in first for part in _words(chapter)),
        *_figures(drawn or ()),
        *(_moments(story.moments) if drawn is None else ()),
        *_marks(story), *(part for chapter in first for part in _tables(chapter)),
        *(part for chapter in rest for part in _chapter(chapter)), *_notes(notes),
        '</main></body></html>\n']
    return '\n'.join(parts)


def _text(text: str, most: int = TEXT_MAX) -> str:
    """Return a text as HTML: escaped, without control characters, bounded."""
    return escape(printable(text, most), quote=True)


def _source(story: Story) -> str:
    where = f'{story.host}, ' if story.host else ''
    return f'{where}from {story.source}, made by oom_sentinel report'


def _figures(drawn: Iterable[tuple[str, str]]) -> list[str]:
    return [f'<figure><figcaption>{_text(caption)}</figcaption>'
            f'<div class="wide">{svg}</div></figure>' for caption, svg in drawn]


def _moments(moments: Sequence[Moment]) -> list[str]:
    """Return the history as a table, thinned; the last moment is always in it."""
    if not moments:
        return []
    step = max(1, -(-len(moments) // MOMENTS_SHOWN))
    shown = [*moments[:-1:step], moments[-1]]
    rows = [(local_time(m.time), _mib(m.available_bytes), _mib(m.swap_used_bytes),
             _percent(m.some_percent), _percent(m.full_percent)) for m in shown]
    return ['<h2>Memory before it happened</h2>', _table(
        ('Time', 'Available (MiB)', 'Swap used (MiB)', 'Some waited (%)', 'All waited (%)'),
        rows)]


def _marks(story: Story) -> list[str]:
    if not story.marks:
        return []
    items = [f'<li class="{m.kind.value}"><b>{_text(local_time(m.time))}</b> '
             f'{"killed: " if m.kind is MarkKind.KILL else ""}{_text(m.text)}</li>'
             for m in story.marks[-MARKS_SHOWN:]]
    return ['<h2>What happened</h2><ul>', *items, '</ul>']


def _chapter(chapter: Chapter) -> list[str]:
    return ['<section>', f'<h2>{_text(chapter.heading)}</h2>', *_words(chapter),
            *_tables(chapter), '</section>']


def _words(chapter: Chapter) -> list[str]:
    """Return what happened and what would have changed it, in sentences."""
    parts = [f'<p class="lead">{_text(sentence)}</p>' for sentence in chapter.sentences]
    if chapter.what_if:
        parts += ['<h3>What would have changed it</h3><ul>',
                  *(f'<li>{_text(sentence)}</li>' for sentence in chapter.what_if), '</ul>']
    return parts


def _tables(chapter: Chapter) -> list[str]:
    """Return the task table; facts and log are folded."""
    parts = []
    if chapter.tasks:
        parts += ['<h3>Processes before the kill, by badness</h3>',
                  _tasks(chapter.tasks)]
    if chapter.facts:
        opened = '' if chapter.tasks else ' open'
        parts += [f'<details{opened}><summary>All facts</summary>', _table(
            ('Fact', 'Value'), chapter.facts[:FACTS_MAX]), '</details>']
    if chapter.log:
        lines = '\n'.join(_text(line) for line in chapter.log[:LOG_MAX])
        parts.append(f'<details><summary>Kernel log</summary><pre>{lines}</pre></details>')
    return parts


def _tasks(tasks: Sequence[Task]) -> str:
    """Return the task table; the victim is in it even when it is not among the first."""
    shown = list(tasks[:TASKS_MAX])
    shown += [t for t in tasks[TASKS_MAX:] if t.killed]
    rows = [(str(t.pid), ('\u2620 ' if t.killed else '') + t.name,
             '' if t.group is None else f'{t.group} ({t.wanted})' if t.wanted is not None
             else t.group, _badness(t),
             str(t.oom_score_adj), _mib(t.rss_bytes), _mib(t.swap_bytes)) for t in shown]
    classes = ['killed' if t.killed else 'protected' if t.oom_score_adj < 0 else ''
               for t in shown]
    left = len(tasks) - len(shown)
    more = f'<p class="source">{left} more processes with lower badness.</p>' if left else ''
    legend = ('<p class="source">\u2620 was killed; green: protected by a negative '
              'oom_score_adj. Badness in pages.</p>')
    return _table(HEAD, rows, classes) + legend + more


def _badness(task: Task) -> str:
    if task.badness is not None:
        return str(task.badness)
    return 'never killed' if task.oom_score_adj == -1000 or task.pid == 1 else 'unknown'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]],
           classes: Sequence[str] = ()) -> str:
    made = ['<div class="wide"><table><thead><tr>',
            *(f'<th scope="col">{_text(name)}</th>' for name in head), '</tr></thead><tbody>']
    for number, row in enumerate(rows):
        kind = f' class="{classes[number]}"' if number < len(classes) and classes[number] else ''
        made.append(f'<tr{kind}>' + ''.join(f'<td>{_text(cell)}</td>' for cell in row) + '</tr>')
    return ''.join(made) + '</tbody></table></div>'


def _notes(notes: Sequence[str]) -> list[str]:
    if not notes:
        return []
    return ['<h2>What this page lacks</h2><ul>', *(f'<li>{_text(n)}</li>' for n in notes), '</ul>']


def _mib(value: float | None) -> str:
    return '' if value is None else f'{value / MIB:.1f}' if value < 10 * MIB else (
        f'{value / MIB:.0f}')


def _percent(value: float | None) -> str:
    return '' if value is None else f'{value:.1f}'
