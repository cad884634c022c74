"""libvirt's hook: a guest's VFs have what is declared while it runs, and nothing of it reaches the next guest."""

from __future__ import annotations

from pathlib import Path

from tests.lab.conftest import Host

HOOKS = Path(__file__).parents[2] / "contrib/libvirt-hooks"
FILE = "/etc/reconciler/host.toml"
ZERO = "00:00:00:00:00:00"


EARLIER = """
virsh dumpxml --inactive idle1 | sed 's/idle1/early1/; /<uuid>/d; s/6d:91:03/6d:91:04/' >early1.xml
virsh define early1.xml
virsh start early1
"""
"""A guest of the same pool, of which nothing is declared."""


def of_vf(host: Host, index: int) -> tuple[str, int, int, bool, bool]:
    """MAC, VLAN, rate, spoofchk, trust."""
    vf = host.vfs("enp2s0")[index]
    return vf["mac"], vf["vlan"], vf["max_tx_rate"], vf["spoofchk"], vf["trust"]


def install(host: Host) -> None:
    host.sh("mkdir -p /root/hooks /etc/reconciler")
    for name in ("qemu", "install"):
        host.sh(f"cat >/root/hooks/{name}; chmod +x /root/hooks/{name}", input=(HOOKS / name).read_text())
    host.sh(f"cp {host.put('hooks.toml')} {FILE}")
    host.sh("/root/hooks/install")


def test_limits_come_with_a_guest_and_go_with_it(host: Host) -> None:
    host.put("hooks.toml")
    host.reconciler("apply hooks.toml --yes").expect(0)
    install(host)
    fast = ("52:54:00:6d:91:02", 200, 50, True, False)
    assert of_vf(host, 5) == fast

    host.sh("ip link set enp2s0 vf 3 trust on max_tx_rate 777")  # What somebody before has left.
    host.sh("virsh start db1")
    assert of_vf(host, 3) == ("52:54:00:6d:91:01", 0, 100, False, False)
    assert of_vf(host, 5) == fast

    host.sh("ip link set enp2s0 vf 3 max_tx_rate 900; ip link set enp2s0 vf 5 max_tx_rate 901")
    host.sh("virsh destroy db1")
    assert of_vf(host, 3) == (ZERO, 0, 0, True, False)
    assert of_vf(host, 5) == fast

    host.sh("virsh start idle1")
    assert of_vf(host, 3) == ("52:54:00:6d:91:03", 0, 200, True, True)
    host.sh("virsh destroy idle1")
    assert of_vf(host, 3) == (ZERO, 0, 0, True, False)

    # Another guest of the pool is there first, so libvirt gives idle1 the next VF, and that gets what idle1 declares.
    host.sh(EARLIER)
    host.sh("virsh start idle1")
    assert host.nics("idle1")["ua-rec-data"].address == host.vf_address("enp2s0", 4)
    assert of_vf(host, 4) == ("52:54:00:6d:91:03", 0, 200, True, True)
    assert of_vf(host, 3) == ("52:54:00:6d:91:04", 0, 0, True, False)
    host.sh("virsh destroy idle1; virsh destroy early1; virsh undefine early1")
    assert of_vf(host, 3) == of_vf(host, 4) == (ZERO, 0, 0, True, False)
    assert host.sh("ls /run/reconciler/guests").split() == ["lock"]
    host.reconciler("plan hooks.toml --detailed-exitcode").expect(0)

    # A file that can't be read can't say what keeps a guest to itself.
    host.sh(f"sed -i 's/^max_tx_rate = 50/max_tx_rate = \"fifty\"/' {FILE}")
    refused = host.sh("virsh start db1 2>&1", check=False)
    assert FILE in refused
    assert "max_tx_rate" in refused
    assert host.sh("virsh domstate db1").strip() == "shut off"
    host.sh("virsh dumpxml web1 | reconciler hook web1 start begin -")  # It has no VF: nothing is asked.

    host.sh("/root/hooks/install --remove")
    assert "50-reconciler" not in host.sh("ls /etc/libvirt/hooks/qemu.d")
