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
"""The demo's lines: printed as they happen, kept for a recording, replayed, drawn as SVG."""

import json
import pathlib
import textwrap
import time

RECORDING = pathlib.Path(__file__).with_name('recording.json')
STYLES = {'head': 'bold', 'plain': '', 'dim': 'dim', 'good': 'green', 'warn': 'yellow',
          'kill': 'bold red', 'file': ''}  # file: of the run that was recorded, not replayed
WIDTH = 80


def console(**options):
    """Return a console of rich; None where rich is not installed, and then text is plain."""
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(highlight=False, soft_wrap=True, **options)


def wrapped(text):
    """Return the text in lines of at most WIDTH columns, its continuation lines indented."""
    if len(text) <= WIDTH:
        return text
    margin = text[:len(text) - len(text.lstrip())]
    return textwrap.fill(text, WIDTH, subsequent_indent=margin + '    ')


class Screen:
    """Prints lines and keeps them with the second in which they were printed."""

    def __init__(self):
        """Begin the clock."""
        self.began = time.monotonic()
        self.lines = []
        self._console = console()

    def say(self, text='', style='plain'):
        """Print one line in a style of STYLES."""
        text = wrapped(text)
        self.lines.append((round(time.monotonic() - self.began, 1), style, text))
        if self._console is None:
            print(text, flush=True)
        else:
            self._console.print(text, style=STYLES[style], markup=False)

    def save(self, path=RECORDING):
        """Write the lines so far as a recording."""
        rows = ',\n'.join(json.dumps(line) for line in self.lines)
        path.write_text(f'[\n{rows}\n]\n', encoding='utf-8')


def recorded(path=RECORDING):
    """Return the lines of a recording as (seconds, style, text)."""
    return [tuple(line) for line in json.loads(path.read_text(encoding='utf-8'))]


def replay(screen, speed):
    """
    Print the recording again, without the lines that name files of the recorded run.

    :param speed: pauses are divided by it; 0 means no pause.
    """
    before = 0.0
    for seconds, style, text in recorded():
        if style == 'file':
            continue
        if speed:
            time.sleep((seconds - before) / speed)
        before = seconds
        screen.say(text, style)


def draw(path):
    """
    Draw the recording as an SVG that loads nothing from outside.

    :raises ImportError: without rich.
    """
    import io
    import re
    sheet = console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    if sheet is None:
        raise ImportError('the picture needs rich')
    for _, style, text in recorded():
        sheet.print(text, style=STYLES[style], markup=False)
    svg = sheet.export_svg(title='make demo', unique_id='demo')
    svg = re.sub(r'@font-face \{.*?\}', '', svg, flags=re.DOTALL)
    svg = '\n'.join(line.rstrip() for line in svg.splitlines() if line.strip()) + '\n'
    pathlib.Path(path).write_text(svg, encoding='utf-8')
