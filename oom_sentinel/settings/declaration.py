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
One parameter: its default, type, range and meaning, and how a value from outside is taken.

A parameter is declared as a field of a frozen dataclass with `parameter`; its ROS name is made
from the field's name.  Pure: a refused value is a `SettingsError`.
"""

from array import array
import dataclasses
import reprlib
from typing import Any
from typing import TypeVar

from oom_sentinel.facts.frozen import frozen

T = TypeVar('T')
# The first word of a field's name that is followed by a dot in the parameter's name.
SECTIONS = ('memory', 'swap', 'pressure', 'exhaustion', 'protection', 'parameters', 'kills',
            'incident', 'shed', 'metrics')
STRING_BYTES = 1024
LIST_ITEMS = 256
# A refusal shows that much of the value: an alias of YAML may stand for a billion items.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxtuple = 2, 8, 8
_SHORT.maxstring = _SHORT.maxother = 80
LARGEST = 1e18  # of a number; beyond it stands a digit string, not a quantity


class SettingsError(ValueError):
    """A value that is refused; the text names parameter, value and allowed range."""


class SettingsErrors(SettingsError):
    """Several refusals at once; `problems` has their texts, each beginning with the parameter."""

    def __init__(self, problems: list[str]) -> None:
        """Keep the texts."""
        super().__init__('; '.join(problems))
        self.problems = tuple(problems)


@frozen
class Declaration:
    """What a parameter is: its default, type and range, and what it means."""

    name: str
    default: object
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False

    @property
    def type(self) -> type:
        """Return float, int, bool, str or tuple (of str)."""
        return type(self.default)

    @property
    def allowed(self) -> str:
        """Return the allowed values in words."""
        if self.choices:
            words = ', '.join(repr(c) for c in self.choices)
            return f'a list of {words}' if self.type is tuple else f'one of {words}'
        words = {float: 'a number', int: 'an integer', bool: 'true or false', str: 'a string',
                 tuple: 'a list of strings'}[self.type]
        if self.low is not None:
            words += f' in {self.low:g}..{self.high:g}'
        return words

    def coerce(self, value: Any) -> Any:
        """
        Return the value in this parameter's type.

        An integer is taken where a float is meant, an empty list of any kind as an empty list
        of strings, a lone string as a list of one, and false as 'off'.

        :raises SettingsError: for any other type, outside the range, and beyond the limits of
            strings and lists.
        """
        taken = self._in_own_type(value)
        if (isinstance(taken, (int, float)) and self.low is not None and self.high is not None
                and not self.low <= taken <= self.high):
            raise self._refusal(value)
        texts = taken if isinstance(taken, tuple) else (taken,)
        if self.choices and any(text not in self.choices for text in texts):
            raise self._refusal(value)
        for text in texts:
            if isinstance(text, str) and len(text.encode(errors='replace')) > STRING_BYTES:
                raise self._refusal(text, f'at most {STRING_BYTES} bytes a string')
        return taken

    def _in_own_type(self, value: Any) -> Any:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if self.type is float and number and -LARGEST <= value <= LARGEST:
            return float(value)
        if self.type is int and isinstance(value, int) and number:
            return value
        if self.type is bool and isinstance(value, bool):
            return value
        if self.type is str and isinstance(value, str):
            return value
        if value is False and 'off' in self.choices:
            return 'off'  # what YAML 1.1, so also `ros2 param set`, makes of it
        if self.type is tuple:
            return self._list_of_strings(value)
        raise self._refusal(value)

    def _list_of_strings(self, value: object) -> tuple[str, ...]:
        if value is None:
            return ()
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, (list, tuple, array)):
            raise self._refusal(value)
        if len(value) > LIST_ITEMS:
            raise self._refusal(list(value[:2]), f'at most {LIST_ITEMS} items, not {len(value)}')
        if not all(isinstance(item, str) for item in value):
            raise self._refusal(value)
        return tuple(value)

    def _refusal(self, value: object, allowed: str = '') -> SettingsError:
        return SettingsError(
            f'{self.name}: {shortened(value)} refused, allowed: {allowed or self.allowed}')


def shortened(value: object) -> str:
    """Return how a value looks in Python: short, one line, without control characters."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return 'a number that is too long'


def parameter(default: T, text: str, low: float | None = None, high: float | None = None, *,
              choices: tuple[str, ...] = (), read_only: bool = False) -> T:
    """
    Return a dataclass field that declares a parameter; its name comes from the field.

    :param default: also gives the type: float, int, bool, str or a tuple of strings.
    :param text: what the parameter means, a sentence with its unit.
    """
    declared = Declaration('', default, text, low, high, choices, read_only)
    return dataclasses.field(default=default, metadata={'declaration': declared})


def declared_by(settings: Any) -> dict[str, Declaration]:
    """Return field name -> declaration of a dataclass, in the order of its fields."""
    return {f.name: dataclasses.replace(f.metadata['declaration'], name=_parameter_name(f.name))
            for f in dataclasses.fields(settings) if 'declaration' in f.metadata}


def _parameter_name(field: str) -> str:
    """Return the parameter's name: memory_available -> memory.available."""
    section, _, rest = field.partition('_')
    return f'{section}.{rest}' if section in SECTIONS else field
