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

"""The style sheet of a page: light and dark by the reader's choice, readable on a phone."""

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
.wide svg { width: 100%; min-width: 27rem; height: auto; display: block; }
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
