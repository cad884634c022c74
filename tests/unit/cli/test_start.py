"""What a start of the tool does without."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import sys
from reconciler.cli.main import run, _without_plugins
_without_plugins()
assert run(["validate", sys.argv[1]]) == 0
from pydantic import BaseModel
class Model(BaseModel):
    number: int
print(*sorted(name for name in ("importlib.metadata", "email", "pyroute2", "libvirt", "lxml") if name in sys.modules))
"""


def test_no_package_is_asked_for_plugins_and_nothing_is_imported_that_is_not_needed() -> None:
    """pydantic looks for plugins when the first model is built: with ours in place it does not."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "states/minimal.toml"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == ""
