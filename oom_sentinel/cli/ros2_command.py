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

"""`ros2 oom VERB`: the same verbs as `oom_sentinel VERB` (entry point ros2cli.command)."""

import argparse
from typing import Any

from oom_sentinel.cli import add_verbs
from oom_sentinel.cli import run
from ros2cli.command import CommandExtension


class OomCommand(CommandExtension):  # type: ignore[misc]
    """Who dies when memory runs out, and how to change it."""

    def add_arguments(self, parser: argparse.ArgumentParser, cli_name: str,
                      **_given: Any) -> None:
        """Add the common options and every verb."""
        add_verbs(parser)

    def main(self, *, parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
        """Run the verb and return its exit code."""
        return run(args, 'ros2 oom')
