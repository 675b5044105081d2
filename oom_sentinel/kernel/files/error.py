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

"""The one error of the parsers, and the numbers that the kernel prints."""


class ParseError(ValueError):
    """A known line that does not read as documented: which file, which line, what of it."""

    def __init__(self, path: str, line: bytes, what: str) -> None:
        """Keep path, line and what is wrong with it."""
        super().__init__(f'{path}: {what}: {line[:80]!r}')
        self.path = path
        self.line = line
        self.what = what


def integer(path: str, line: bytes, text: bytes) -> int:
    """
    Return a non-negative decimal number of at most 20 digits, as the kernel prints it.

    :raises ParseError: for anything else.
    """
    if not text.isdigit() or len(text) > 20:
        raise ParseError(path, line, f'{text[:20]!r} is no number')
    return int(text)


def signed(path: str, text: bytes, lowest: int, highest: int) -> int:
    """
    Return the number that a whole file holds, as oom_score_adj does.

    :raises ParseError: when it is no decimal number from `lowest` to `highest`.
    """
    digits = text.strip()
    if not digits.removeprefix(b'-').isdigit() or len(digits) > 20:
        raise ParseError(path, text, 'expected one number')
    number = int(digits)
    if not lowest <= number <= highest:
        raise ParseError(path, text, f'expected a number from {lowest} to {highest}')
    return number
