"""The tool, on a host where a driver takes the lock of all network interfaces (RTNL) right before the tool sets VFs,
and keeps it for seconds: igb's self-test sleeps with it (igb_diag_test). The deadlines are shortened.

PYTHONPATH as in the wrapper `reconciler`.

    python3 rtnl_meanwhile.py enp2s0 apply host.toml --yes
"""

import subprocess
import sys
from collections.abc import Sequence

from reconciler.cli.main import main
from reconciler.host.local import reader, writer
from reconciler.host.protocol import HostError, VfSet

SECONDS = 1.0
set_vfs = writer.LocalWriter.set_vfs


def held(own: writer.LocalWriter, pf: str, requests: Sequence[VfSet]) -> list[HostError | None]:
    """The same, once another interface can't be read any more."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    test = subprocess.Popen(["ethtool", "-t", sys.argv[1], "offline"], start_new_session=True, **quiet)
    while test.poll() is None:
        look = subprocess.Popen(["ip", "link", "show", "dev", "lo"], **quiet)
        try:
            look.wait(1.0)
        except subprocess.TimeoutExpired:
            break
    reader._NETWORK_SECONDS = writer._NETWORK = SECONDS
    return set_vfs(own, pf, requests)


writer.LocalWriter.set_vfs = held  # type: ignore[method-assign]
main(sys.argv[2:])
