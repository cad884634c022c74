"""Tells how many points were tried and lost."""

from __future__ import annotations

import pytest

from tests.faults import tally


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if tally.TRIED:
        terminalreporter.section("faults: points tried")
        for line in tally.table():
            terminalreporter.write_line(line)
