"""What a service tells systemd of itself (sd_notify(3)): the line that `systemctl status` shows, and that it takes
longer. Who is not started by systemd tells nobody."""

from __future__ import annotations

import contextlib
import os

_LONGEST = 400
"""Characters of the line."""
_SECONDS = 5.0
"""For systemd to take it: its queue may be full."""


def is_heard() -> bool:
    """Whether somebody wants to be told."""
    return _address() != ""


def tell_status(text: str) -> None:
    """The line ``Status:`` of `systemctl status`, which stays after the end of a service that remains."""
    line = " ".join(text.split())
    _notify(f"STATUS={line if len(line) <= _LONGEST else line[: _LONGEST - 1] + '…'}")


def take_longer(seconds: float) -> None:
    """From now on so many seconds more, if the unit's own limit is over by then (``EXTEND_TIMEOUT_USEC=``)."""
    _notify(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")


def _notify(message: str) -> None:
    """Sends it. That nobody hears it, changes nothing: it is only told."""
    address = _address()
    if not address:
        return
    import socket

    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(_SECONDS)
        sender.connect("\0" + address[1:] if address.startswith("@") else address)
        sender.send(message.encode())


def _address() -> str:
    """Where systemd listens: a path, or an abstract name; "" for nowhere."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    return address if address.startswith(("/", "@")) else ""
