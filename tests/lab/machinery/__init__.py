"""Builds, starts and restores the lab: a virtual machine with real SR-IOV network cards.

`Lab` is what tests use; `tests/lab/lab` is the same for people. `tests/lab/README.md` tells how it is used.
"""

from tests.lab.machinery.core import Lab
from tests.lab.machinery.errors import CommandFailed, LabError, Timeout

__all__ = ["CommandFailed", "Lab", "LabError", "Timeout"]
