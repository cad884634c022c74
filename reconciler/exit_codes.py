"""The exit codes of the command, in one table."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script can rely on; the README repeats this table."""

    OK = 0
    """Done; nothing to do; no drift; with ``plan`` also: changes shown."""
    FAILED = 1
    """Failed or declined and nothing was changed; also a plan that is blocked by an error."""
    CHANGES = 2
    """``plan --detailed-exitcode``: there are changes; ``drift``: drift, conflict or unrecorded."""
    ROLLED_BACK = 3
    """``apply`` failed and was rolled back."""
    PARTIAL = 4
    """``apply`` failed part-way, or a rollback failed: the message says where the host is."""
    REFUSED = 5
    """Refused by a guard; the plan is shown in full."""
    STALE = 6
    """The saved plan no longer fits the host."""
    LOCKED = 7
    """Another run holds the lock."""
    UNOBSERVED = 8
    """Something that the file declares could not be observed."""
    USAGE = 64
    """Wrong usage."""
    INVALID = 65
    """Invalid state file (or another document given as input)."""
    NOT_PERMITTED = 77
    """Not permitted."""
    INTERRUPTED = 130
    """Interrupted before any change."""
