"""How the twin says no: as the kernel does (``OSError``), as a command does, or as libvirt does."""

from __future__ import annotations

import os

from reconciler.host.refusals import Evidence


class Hangs(Exception):
    """A write to sysfs doesn't come back."""

    evidence = Evidence()
    """What can be seen of it then."""


class CommandFailed(Exception):
    """A command (modprobe, rmmod) ended with an error; the message is what it said."""


class LibvirtRefused(Exception):
    """libvirt's error; the message is its own, without a full stop."""


def kernel_error(number: int) -> OSError:
    """The error that a system call returns."""
    return OSError(number, os.strerror(number))


def internal(text: str) -> LibvirtRefused:
    """VIR_ERR_INTERNAL_ERROR (1)."""
    return LibvirtRefused(f"internal error: {text}")


def invalid(text: str) -> LibvirtRefused:
    """VIR_ERR_OPERATION_INVALID (55)."""
    return LibvirtRefused(f"Requested operation is not valid: {text}")


def xml_error(text: str) -> LibvirtRefused:
    """VIR_ERR_XML_ERROR (27)."""
    return LibvirtRefused(f"XML error: {text}")


def failed(text: str) -> LibvirtRefused:
    """VIR_ERR_OPERATION_FAILED (9)."""
    return LibvirtRefused(f"operation failed: {text}")


def unsupported(text: str) -> LibvirtRefused:
    """VIR_ERR_CONFIG_UNSUPPORTED (67)."""
    return LibvirtRefused(f"unsupported configuration: {text}")
