"""How long: a few seconds for each test, or as long as somebody has the patience for (``make fuzz``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fuzz import world

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""By test; 0: what each test says itself, always the same ones."""
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]
settings.register_profile("fuzz", deadline=None, print_blob=True, database=None, suppress_health_check=_SLOW)
settings.load_profile("fuzz")


def tries(count: int) -> settings:
    """The settings of a test: so many examples in ``make test``."""
    return settings(max_examples=EXAMPLES or count, derandomize=not EXAMPLES)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world that all are copies of."""
    folder = tmp_path_factory.mktemp("world")
    world.make(folder)
    return folder


@pytest.fixture(autouse=True, scope="session")
def _no_disk_and_no_timer() -> Iterator[None]:
    """What is tried out here is not whether data survive a power cut, and no systemd is to hear of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr("reconciler.host.local.timer._systemd", lambda *args, **more: None)
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many commands were run, by name and exit code."""
    if world.COUNTS:
        told = ", ".join(f"{name}: {count}" for name, count in sorted(world.COUNTS.items()))
        terminalreporter.write_line(f"{sum(world.COUNTS.values())} commands ({told})")
