"""Runs the tool, and lets something happen in the middle of it:

    fault.py CALL NTH before|after WHAT ARGUMENTS…

CALL is a method of the writer (``set_numvfs``, ``set_vfs``, ``attach_nic``, …), or with ``guests.`` in front one that a
move calls on either side (``guests.define``, ``guests.undefine``); WHAT happens right before or right after its NTH
call:

- ``fail``: the call fails, before the host is asked or after it did what it was asked;
- ``kill``: the process is killed with -9;
- ``stop``: it is sent SIGTERM, as by ``systemctl stop``;
- anything else is a command line of the shell: what somebody else does at that moment.

With ANSWER_WITHIN in the environment, a guest has so many seconds for answering an unplug request.
"""

import errno
import os
import signal
import subprocess
import sys
import threading

from reconciler.cli.main import main
from reconciler.host.local.guests import LibvirtGuests
from reconciler.host.local.writer import LocalWriter
from reconciler.host.protocol import HostError
from reconciler.kinds.nic import operations

call, nth, when, what, *arguments = sys.argv[1:]
owner = LibvirtGuests if call.startswith("guests.") else LocalWriter
call = call.removeprefix("guests.")
genuine = getattr(owner, call)
calls = 0
lock = threading.Lock()


def happen() -> None:
    match what:
        case "fail":
            code = errno.EINVAL if when == "before" else errno.EIO  # A refusal, or an answer that was lost.
            raise HostError("The test let it fail.", f"{call} number {nth}, {when} it.", errno=code)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        case _:
            subprocess.run(what, shell=True, check=True, stdout=sys.stderr)


def wrapped(writer, *args, **kwargs):
    global calls
    with lock:  # A round calls from several threads.
        calls += 1
        now = calls == int(nth)
    if now and when == "before":
        happen()
    result = genuine(writer, *args, **kwargs)
    if now and when == "after":
        happen()
    return result


setattr(owner, call, wrapped)
if "ANSWER_WITHIN" in os.environ:
    operations._GUEST_ANSWERS = float(os.environ["ANSWER_WITHIN"])
sys.argv = ["reconciler", *arguments]
sys.exit(main())
