"""A real driver that keeps the lock of all network interfaces (RTNL), while VFs are to be set."""

import pytest

from tests.lab.conftest import WORK, Host
from tests.lab.machinery.basics import wait_until

FILE = """
schema = 1
[pf.int]
match = { name = "enp1s0" }
vfs = 2
vf_driver = "none"
[pf.int.vf.0]
mac = "52:54:00:6d:99:01"
vlan = 7
[pf.int.vf.1]
trust = true
"""
TOOL = "env PYTHONPATH=/opt/reconciler/src:/opt/reconciler/deps python3 rtnl_meanwhile.py enp2s0"
OURS = "grep -l '^reconciler' /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3"


@pytest.mark.long
def test_a_run_does_not_wait_for_the_lock_and_the_next_one_converges(host: Host) -> None:
    host.put("rtnl_meanwhile.py")
    host.put("host.toml", FILE)
    host.sh("ip link set enp2s0 up")
    ran = host.lab.run(f"cd {WORK} && {TOOL} apply host.toml --yes", 120, check=False)
    text = " ".join((ran.stdout + ran.stderr).replace("|", " ").split())
    assert ran.returncode == 4, text
    for said in (
        "A change of a network interface hangs in the kernel.",
        "the kernel has not answered for 1 s; process",
        "Usually a driver hangs while it holds the lock of all network interfaces (RTNL)",
    ):
        assert said in text, f"it should say {said!r}, and says:\n{text}"
    wait_until(lambda: not host.sh(OURS, check=False), "all children have come back and ended", 60)
    host.reconciler("apply host.toml --yes").expect(0)
    found = host.vfs("enp1s0")
    assert (found[0]["mac"], found[0]["vlan"], found[1]["trust"]) == ("52:54:00:6d:99:01", 7, True)
    assert host.sh(OURS, check=False) == ""
