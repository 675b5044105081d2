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
Draw docs/diagnostics.svg from statuses of a real run: `python docs/make_picture.py < JSON`.

The input is what `collect` prints: [[level, name, message], ...] received from /diagnostics.
"""

from html import escape
import json
import pathlib
import sys

COLORS = ('#2e7d32', '#f9a825', '#c62828')


def draw(rows):
    """Return an SVG with one line a status."""
    lines = []
    for index, (level, name, message) in enumerate(rows):
        y = 34 + 26 * index
        lines.append(f'<circle cx="22" cy="{y - 5}" r="7" fill="{COLORS[level]}"/>'
                     f'<text x="40" y="{y}" font-weight="bold">{escape(name)}</text>'
                     f'<text x="330" y="{y}">{escape(message[:118])}</text>')
    height = 50 + 26 * len(rows)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="1240" height="{height}" '
            'font-family="sans-serif" font-size="14"><rect width="100%" height="100%" '
            'fill="#fafafa"/>' + ''.join(lines) + '</svg>\n')


if __name__ == '__main__':
    target = pathlib.Path(__file__).parent / 'diagnostics.svg'
    target.write_text(draw(json.load(sys.stdin)), encoding='utf-8')
