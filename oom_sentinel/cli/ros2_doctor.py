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
The findings of `oom_sentinel doctor` in `ros2 doctor` (entry points ros2doctor.checks, .report).

`ros2 doctor` counts warnings as failures only with --include-warnings, errors always.
"""

from oom_sentinel import settings
from oom_sentinel.cli.doctor import findings
from oom_sentinel.cli.doctor import numbered
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.settings.outside import printable
from ros2doctor.api import DoctorCheck
from ros2doctor.api import DoctorReport
from ros2doctor.api import Report
from ros2doctor.api import Result
from ros2doctor.api.format import doctor_error
from ros2doctor.api.format import doctor_warn

CATEGORY = 'oom_sentinel'


def said(finding: Finding) -> str:
    """Return a finding and its remedy, each command on a line of its own."""
    lines = (f'{finding.id}: {finding.evidence}. Remedy:', *numbered(finding.remedy))
    return '\n  '.join(printable(line, 4000) for line in lines)


class OomCheck(DoctorCheck):  # type: ignore[misc]
    """Check what makes an OOM likely or protection impossible on this host."""

    root = '/'

    def category(self) -> str:
        """Return what links check and report."""
        return CATEGORY

    def check(self) -> Result:
        """Say every warning and error with its remedy, and count them."""
        result = Result()
        for finding in findings(self.root, settings.build({})):
            text = said(finding)
            if finding.severity == Severity.ERROR:
                doctor_error(text)
                result.add_error()
            elif finding.severity == Severity.WARNING:
                doctor_warn(text)
                result.add_warning()
        return result


class OomReport(DoctorReport):  # type: ignore[misc]
    """Report every finding, those that only inform too."""

    root = '/'

    def category(self) -> str:
        """Return what links check and report."""
        return CATEGORY

    def report(self) -> Report:
        """Return one item a finding."""
        report = Report('OUT OF MEMORY (oom_sentinel)')
        found = findings(self.root, settings.build({}))
        for finding in found:
            report.add_to_report(f'{finding.id} ({finding.severity.name.lower()})',
                                 said(finding))
        if not found:  # ros2 doctor fails on a report without an item
            report.add_to_report('findings', 'none')
        return report
