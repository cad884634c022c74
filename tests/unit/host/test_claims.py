"""What other tools' files say of a PF, each in its own language, and who of them has the last word."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.host.local.claims import networkmanager
from reconciler.host.local.claims.cards import Cards
from reconciler.host.local.claims.files import Files
from reconciler.host.local.claims.ini import Section, read_sections
from reconciler.host.local.claims.read import _READERS, read_claims
from reconciler.host.model import Claim, Owners, Pf, Vf

INT = Pf(
    "pci",
    "0000:01:00.0",
    "enp1s0",
    altnames=["lan0"],
    mac="52:54:00:1a:b0:00",
    vendor="8086",
    device_id="10c9",
    driver="igb",
    vfs=[Vf(0, address="0000:01:10.0", netdev="slice0")],
)
EXT = Pf("pci", "0000:02:00.0", "enp2s0", mac="52:54:00:1a:b0:01", vendor="8086", device_id="10c9", driver="igb")
OTHER = Pf("pci", "0000:03:00.0", "ens9", mac="52:54:00:1a:b0:02", vendor="15b3", device_id="1017", driver="mlx5_core")
PFS = {pf.id: pf for pf in (INT, EXT, OTHER)}

Said = tuple[Any, ...]
"""Owner, line, netdev, VF, field, value."""


def read(root: Path, tree: dict[str, str], mode: int = 0o644) -> Owners:
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    return read_claims(root, PFS)


def said(owners: Owners) -> list[Said]:
    return [(c.owner, c.line, PFS[c.pf].netdev, c.vf, c.field, c.value) for c in owners.claims or []]


def brief(owners: Owners) -> list[Said]:
    """Path, line, netdev, field, value: where it is about precedence."""
    return [(c.path, c.line, PFS[c.pf].netdev, c.field, c.value) for c in owners.claims or []]


SRIOV = "[SR-IOV]\nVirtualFunction=1\nVLANId=100\nMACSpoofCheck=no\nLinkState=yes\nMACAddress=52:54:00:00:00:AA\n"
VF1 = [("vlan", 100, 2), ("spoofchk", False, 3), ("link_state", "enable", 4), ("mac", "52:54:00:00:00:aa", 5)]


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (
            "etc/systemd/network/10-int.link",
            "[Match]\nPath=pci-0000:01:00.*\n[Link]\nSR-IOVVirtualFunctions=4\nMTUBytes=9K\n",
            [("systemd-networkd", 4, "enp1s0", None, "vfs", 4), ("systemd-networkd", 5, "enp1s0", None, "mtu", 9216)],
        ),
        (  # As many as its sections need, without a count.
            "etc/systemd/network/10-int.link",
            f"[Match]\nPermanentMACAddress=52-54-00-1A-B0-00\n{SRIOV}",
            [
                *(("systemd-networkd", 3 + line, "enp1s0", 1, field, value) for field, value, line in VF1),
                ("systemd-networkd", 4, "enp1s0", None, "vfs", 2),
            ],
        ),
        (
            "etc/systemd/network/10-int.network",
            f"[Match]\nName=eth0 lan?\n[Link]\nActivationPolicy=always-down\n{SRIOV}",
            [
                ("systemd-networkd", 4, "enp1s0", None, "link", "down"),
                *(("systemd-networkd", 5 + line, "enp1s0", 1, field, value) for field, value, line in VF1),
            ],
        ),
        ("etc/systemd/network/a.network", f"[Match]\nName=enp1s0\n[Link]\nUnmanaged=yes\n{SRIOV}", []),
        ("etc/systemd/network/a.network", SRIOV, []),  # Without a condition systemd ignores it.
        ("etc/systemd/network/a.network", f"[Match]\nDriver=!igb mlx*\n{SRIOV}", []),
        (
            "etc/systemd/network/a.link",
            "[Match]\nDriver=igb\nHost=elsewhere\n[Link]\nMTUBytes=9000\n",
            [("systemd-networkd", 5, name, None, "mtu", 9000) for name in ("enp1s0", "enp2s0")],
        ),
        (
            "etc/netplan/60-sriov.yaml",
            "network:\n  ethernets:\n    pf0:\n      match: {macaddress: '52:54:00:1a:b0:00'}\n"
            "      virtual-function-count: 4\n      mtu: 9000\n",
            [("netplan", 5, "enp1s0", None, "vfs", 4), ("netplan", 6, "enp1s0", None, "mtu", 9000)],
        ),
        (
            "etc/netplan/60-sriov.yaml",
            "network:\n  ethernets:\n    enp1s0: {}\n    vf3: {link: enp1s0, match: {name: enp1s0v3}}\n"
            "    slice0: {link: enp1s0}\n  vlans:\n    v7: {renderer: sriov, id: 7, link: vf3}\n"
            "    v8: {renderer: sriov, id: 8, link: slice0}\n    v9: {id: 9, link: slice0}\n",
            [
                ("netplan", 5, "enp1s0", None, "vfs", 2),
                ("netplan", 7, "enp1s0", 3, "vlan", 7),
                ("netplan", 8, "enp1s0", 0, "vlan", 8),
            ],
        ),
        (
            "etc/netplan/a.yaml",
            "network: {ethernets: {x: {match: {driver: [mlx5*, ixgbe]}, virtual-function-count: 8}}}\n",
            [("netplan", 1, "ens9", None, "vfs", 8)],
        ),
        (
            "etc/NetworkManager/system-connections/int.nmconnection",
            "[connection]\ntype=ethernet\ninterface-name=enp1s0\n[ethernet]\nmtu=9000\n"
            "[sriov]\ntotal-vfs=4\nautoprobe-drivers=0\nvf.1=mac=52:54:00:00:00:01 spoof-check=true vlans=10.2.ad\n",
            [
                ("NetworkManager", 5, "enp1s0", None, "mtu", 9000),
                ("NetworkManager", 7, "enp1s0", None, "vfs", 4),
                ("NetworkManager", 8, "enp1s0", None, "autoprobe", False),
                ("NetworkManager", 9, "enp1s0", 1, "mac", "52:54:00:00:00:01"),
                ("NetworkManager", 9, "enp1s0", 1, "spoofchk", True),
                ("NetworkManager", 9, "enp1s0", 1, "vlan", 10),
                ("NetworkManager", 9, "enp1s0", 1, "qos", 2),
                ("NetworkManager", 9, "enp1s0", 1, "vlan_proto", "802.1ad"),
            ],
        ),
        (  # It enforces 0, which nobody wrote.
            "etc/NetworkManager/system-connections/a",
            "[match]\ndriver=igb;\npath=!pci-0000:02:*;\n[sriov]\nautoprobe-drivers=-1\n",
            [("NetworkManager", 4, "enp1s0", None, "vfs", 0)],
        ),
        ("etc/NetworkManager/system-connections/a", "[connection]\ntype=wifi\n[sriov]\ntotal-vfs=4\n", []),
        (
            "etc/NetworkManager/conf.d/vfs.conf",
            "[device-a]\nmatch-device=driver:igb;except:interface-name:enp2*\nsriov-num-vfs=3\n",
            [("NetworkManager", 3, "enp1s0", None, "vfs", 3)],
        ),
        (
            "etc/sysconfig/network-scripts/ifcfg-int",
            'DEVICE="enp1s0"\nMTU=9000 # jumbo\nSRIOV_TOTAL_VFS=2\nSRIOV_VF1="trust=true vlans=5"\n',
            [
                ("NetworkManager", 2, "enp1s0", None, "mtu", 9000),
                ("NetworkManager", 3, "enp1s0", None, "vfs", 2),
                ("NetworkManager", 4, "enp1s0", 1, "trust", True),
                ("NetworkManager", 4, "enp1s0", 1, "vlan", 5),
                ("NetworkManager", 4, "enp1s0", 1, "qos", 0),
            ],
        ),
        (
            "etc/network/interfaces",
            "auto enp1s0\niface enp1s0 inet static\n  mtu 9000\n"
            "  pre-up echo 4 > /sys/class/net/$IFACE/device/sriov_numvfs\n"
            "  up ip link set $IFACE vf 0 mac 52:54:00:00:00:01 spoofchk on\nauto lo\n",
            [
                ("ifupdown", 3, "enp1s0", None, "mtu", 9000),
                ("ifupdown", 4, "enp1s0", None, "vfs", 4),
                ("ifupdown", 5, "enp1s0", 0, "mac", "52:54:00:00:00:01"),
                ("ifupdown", 5, "enp1s0", 0, "spoofchk", True),
            ],
        ),
        (
            "etc/rc.local",
            "#!/bin/sh\nPF=enp1s0\necho 0 > /sys/class/net/$PF/device/sriov_numvfs\n"
            'echo "4" | sudo tee /sys/class/net/${PF}/device/sriov_numvfs\n'
            "# echo 7 > /sys/class/net/enp1s0/device/sriov_numvfs\n"
            "/sbin/ip link set dev $PF mtu 9000 up && ip link set $PF vf 1 vlan 5 qos 3 proto 802.1ad rate 100\n",
            [
                ("rc.local", 4, "enp1s0", None, "vfs", 4),
                ("rc.local", 6, "enp1s0", None, "mtu", 9000),
                ("rc.local", 6, "enp1s0", None, "link", "up"),
                ("rc.local", 6, "enp1s0", 1, "vlan", 5),
                ("rc.local", 6, "enp1s0", 1, "qos", 3),
                ("rc.local", 6, "enp1s0", 1, "vlan_proto", "802.1ad"),
                ("rc.local", 6, "enp1s0", 1, "max_tx_rate", 100),
            ],
        ),
        (
            "etc/rc.local",
            "#!/bin/sh\nfor i in enp1s0 enp2s0; do\n  echo 2 > /sys/class/net/$i/device/sriov_numvfs; done\n",
            [("rc.local", 3, name, None, "vfs", 2) for name in ("enp1s0", "enp2s0")],
        ),
        (
            "etc/systemd/system/vfs.service",
            "[Service]\nExecStart=/bin/sh -c 'echo 4 > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs'\n",
            [("systemd unit", 2, "enp1s0", None, "vfs", 4)],
        ),
        (
            "etc/cron.d/vfs",
            "@reboot root echo 0 > /sys/class/net/enp1s0/device/sriov_drivers_autoprobe\n",
            [("cron", 1, "enp1s0", None, "autoprobe", False)],
        ),
        (
            "etc/sysfs.d/sriov.conf",
            "# VFs\nclass/net/enp1s0/device/sriov_numvfs = 4\nbus/pci/devices/0000:02:00.0/sriov_numvfs=2\n",
            [("sysfsutils", 2, "enp1s0", None, "vfs", 4), ("sysfsutils", 3, "enp2s0", None, "vfs", 2)],
        ),
        (
            "etc/tmpfiles.d/vfs.conf",
            "w /sys/class/net/enp1s0/device/sriov_numvfs - - - - 4\n",
            [("tmpfiles", 1, "enp1s0", None, "vfs", 4)],
        ),
        (
            "etc/udev/rules.d/90-sriov.rules",
            'ACTION=="add", SUBSYSTEM=="net", ENV{ID_NET_DRIVER}=="igb", \\\n'
            '  KERNELS=="0000:01:*", ATTR{device/sriov_numvfs}="4"\n'
            'SUBSYSTEM=="pci", ATTR{vendor}=="0x15b3", ATTR{device}=="0x1017|0x1019", '
            "RUN+=\"/bin/sh -c 'echo 8 > /sys$devpath/sriov_numvfs'\"\n",
            [("udev", 1, "enp1s0", None, "vfs", 4), ("udev", 3, "ens9", None, "vfs", 8)],
        ),
        (
            "etc/os-net-config/config.yaml",
            "network_config:\n- type: ovs_bridge\n  members:\n  - type: sriov_pf\n    name: enp1s0\n    numvfs: 4\n"
            "- {type: sriov_vf, device: enp1s0, vfid: 2, vlan_id: 7, spoofcheck: off}\n",
            [
                ("os-net-config", 6, "enp1s0", None, "vfs", 4),
                ("os-net-config", 7, "enp1s0", 2, "vlan", 7),
                ("os-net-config", 7, "enp1s0", 2, "spoofchk", False),
            ],
        ),
        (
            "etc/sriov-operator/pci/0000:01:00.0",
            '{"pciAddress":"0000:01:00.0",\n "numVfs":8,"mtu":9000,"vfGroups":[{"vfRange":"0-7"}]}',
            [
                ("sriov-network-operator", 2, "enp1s0", None, "vfs", 8),
                ("sriov-network-operator", 2, "enp1s0", None, "mtu", 9000),
            ],
        ),
        ("etc/sriov-operator/a.yaml", "spec: {interfaces: [{pciaddress: '0000:09:00.0', numvfs: 8}]}", []),
    ],
)
def test_what_a_file_says(tmp_path: Path, path: str, text: str, expected: list[Said]) -> None:
    owners = read(tmp_path, {path: text}, 0o755)
    assert said(owners) == expected
    assert owners.unread == []


COUNT = "[Match]\nName=enp1s0\n[Link]\nSR-IOVVirtualFunctions={}\n"
PLAN = "network: {{ethernets: {{enp1s0: {{virtual-function-count: {}}}}}}}\n"


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (  # The same name: /etc goes before /run, and masks with nothing in it, too.
            {f"{folder}/systemd/network/a.link": COUNT.format(n) for folder, n in (("etc", 1), ("run", 2))},
            [("/etc/systemd/network/a.link", 4, "enp1s0", "vfs", 1)],
        ),
        ({"etc/systemd/network/a.link": "", "usr/lib/systemd/network/a.link": COUNT.format(2)}, []),
        (  # The first that matches, by its name alone.
            {"etc/systemd/network/b.link": COUNT.format(1), "usr/lib/systemd/network/a.link": COUNT.format(2)},
            [("/usr/lib/systemd/network/a.link", 4, "enp1s0", "vfs", 2)],
        ),
        (
            {
                "etc/systemd/network/a.link": COUNT.format(1),
                "run/systemd/network/a.link.d/x.conf": "[Link]\nSR-IOVVirtualFunctions=3",
            },
            [("/run/systemd/network/a.link.d/x.conf", 2, "enp1s0", "vfs", 3)],
        ),
        (  # What netplan has generated is not told twice.
            {"run/systemd/network/10-netplan-a.link": COUNT.format(4), "etc/netplan/a.yaml": PLAN.format(4)},
            [("/etc/netplan/a.yaml", 1, "enp1s0", "vfs", 4)],
        ),
        (  # Files of netplan go by their names, whatever their folder.
            {"run/netplan/a.yaml": PLAN.format(1), "etc/netplan/b.yaml": PLAN.format(2)},
            [("/etc/netplan/b.yaml", 1, "enp1s0", "vfs", 2)],
        ),
        (
            {"run/netplan/a.yaml": PLAN.format(1), "etc/netplan/a.yaml": PLAN.format(2)},
            [("/run/netplan/a.yaml", 1, "enp1s0", "vfs", 1)],
        ),
        (
            {
                "etc/network/interfaces": "source interfaces.d/*\nsource-directory /etc/network/more\n",
                "etc/network/interfaces.d/x": "iface lan0 inet manual\n  mtu 9000\n",
                "etc/network/more/y": "iface enp2s0 inet manual\nmtu 2000\n",
            },
            [
                ("/etc/network/interfaces.d/x", 2, "enp1s0", "mtu", 9000),
                ("/etc/network/more/y", 2, "enp2s0", "mtu", 2000),
            ],
        ),
        ({"etc/netplan/reconciler.yaml": PLAN.format(1), "etc/netplan/a.yaml~": PLAN.format(1)}, []),
    ],
)
def test_who_has_the_last_word(tmp_path: Path, tree: dict[str, str], expected: list[Said]) -> None:
    assert brief(read(tmp_path, tree)) == expected


LOOP = "#!/bin/sh\nN=2\nfor i in {}; do\n  ip link set enp1s0 vf $i trust on\ndone\n"


@pytest.mark.parametrize(
    ("text", "vfs"),
    [
        (LOOP.format("$(seq 0 3)"), [0, 1, 2, 3]),
        (LOOP.format("$(seq 2)"), [1, 2]),
        (LOOP.format("`seq 0 $N`"), [0, 1, 2]),
        (LOOP.format("{2..0} 7"), [2, 1, 0, 7]),
        (LOOP.format("$(seq 3 1)"), []),
        ("#!/bin/sh\nsh -c 'for i in $(seq 0 1); do ip link set enp1s0 vf $i trust on; done'\n", [0, 1]),
        (
            "#!/bin/sh\nfor p in enp1s0 enp2s0; do for i in {0..62}; do ip link set $p vf $i trust on; done; done\n",
            [*range(63), *range(63)],
        ),
    ],
)
def test_the_numbers_of_a_loop(tmp_path: Path, text: str, vfs: list[int]) -> None:
    owners = read(tmp_path, {"etc/rc.local": text}, 0o755)
    assert [claim.vf for claim in owners.claims or []] == vfs
    assert owners.unread == []


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("etc/rc.local", LOOP.format("$(cat /vfs)"), 4),
        ("etc/rc.local", LOOP.format("$(seq 0 $((N-1)))"), 4),
        ("etc/rc.local", LOOP.format("`ls`"), 4),
        ("etc/rc.local", LOOP.format("$M"), 4),
        ("etc/rc.local", "#!/bin/sh\ni=0\ni=$(cat /x)\nip link set enp1s0 vf $i mac 52:54:00:00:00:01\n", 4),
        ("etc/rc.local", "#!/bin/sh\nip link set $PF vf 0 trust on\n", 2),
        ("etc/rc.local", "#!/bin/sh\nn=4\nn=$(cat /x)\necho $n > /sys/class/net/enp1s0/device/sriov_numvfs\n", 4),
        ("etc/rc.local", "#!/bin/sh\necho 4 | tee /sys/class/net/{enp1s0,enp2s0}/device/sriov_numvfs\n", 2),
        (
            "etc/systemd/system/vfs@.service",
            "[Service]\nExecStart=/bin/sh -c 'echo 4 > /sys/class/net/%i/device/sriov_numvfs'\n",
            2,
        ),
        ("etc/network/interfaces", "iface lan0\n up ip link set $IFACE vf $(cat /x) trust on\n", 2),
        (
            "etc/udev/rules.d/a.rules",
            'SUBSYSTEM=="net", RUN+="/bin/sh -c \'echo $(cat /x) > /sys/class/net/%k/device/sriov_numvfs\'"\n',
            1,
        ),
    ],
)
def test_a_line_that_computes_says_nothing_and_is_told(tmp_path: Path, path: str, text: str, line: int) -> None:
    owners = read(tmp_path, {path: text}, 0o755)
    assert said(owners) == []
    assert owners.unread == [f"/{path} computes in line {line} what it writes, which was not followed."]


@pytest.mark.parametrize(
    "line",
    [
        "ip link set ens99 vf $i trust on",
        "echo $n > /sys/class/net/ens99/device/sriov_numvfs",
        'if [ "$(cat /sys/class/net/enp1s0/device/sriov_numvfs)" = 0 ]; then',
        "ip link set $BRIDGE up",
    ],
)
def test_what_computes_and_is_not_about_our_vfs_is_not_told(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, {"etc/rc.local": f"#!/bin/sh\n{line}\n"}, 0o755) == Owners([])


def test_an_include_of_anything_is_not_followed(tmp_path: Path) -> None:
    tree = {
        "etc/network/interfaces": "source /*/*/*/*\nsource /etc/network\nsource /etc/net*\nsource interfaces.d/*.cfg\n",
        "etc/network/interfaces.d/x.cfg": "iface lan0 inet manual\n  mtu 9000\n",
        "etc/network/interfaces.d/y": "iface lan0 inet manual\n  mtu 8000\n",
    }
    owners = read(tmp_path, tree)
    assert owners.unread == ["/etc/network/interfaces includes /*/*/*/*, which was not followed."]
    assert [claim.value for claim in owners.claims or []] == [9000]


LONG = "9" * 5000
GOOD = {"etc/sysfs.d/good.conf": "class/net/enp1s0/device/sriov_numvfs = 4\n"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("etc/rc.local", f"#!/bin/sh\nip link set enp1s0 vf {LONG} trust on\n"),
        ("etc/NetworkManager/system-connections/a", f"[connection]\ninterface-name=ens9\n[sriov]\nvf.{LONG}=trust=1\n"),
        ("etc/sysconfig/network-scripts/ifcfg-a", f"DEVICE=enp1s0\nSRIOV_VF{LONG}=trust=1\n"),
        ("etc/os-net-config/a.yaml", f"[{{type: sriov_vf, device: enp1s0, vfid: {LONG}, trust: on}}]\n"),
        ("etc/systemd/network/a.link", f"[Match]\nName=enp1s0\n[SR-IOV]\nVirtualFunction={LONG}\nTrust=yes\n"),
        ("etc/rc.local", "#!/bin/sh\nA=link\n" + 'A="$A$A"\n' * 40 + "echo $A\n"),
        ("etc/rc.local", f"#!/bin/sh\nA={'x' * 200_000}\n: link {'$A' * 10_000}\n"),
        ("etc/rc.local", "#!/bin/sh\n" + "".join(f"A{n}={'$' * (n > 0)}A{n - 1}x\n" for n in range(9000)) + ": link\n"),
        ("etc/rc.local", "#!/bin/sh\nfor i in {0..255}; do\n" + "ip link set enp2s0 vf $i " * 9000 + "\n"),
        ("etc/rc.local", "#!/bin/sh\n" + "ip " * 80_000),
        ("etc/udev/rules.d/a.rules", "link" + "A" * 250_000),
        ("etc/udev/rules.d/a.rules", "link" + "A{" * 120_000),
        ("etc/systemd/network/a.link", "[Match]\nName=" + "[" * 200_000 + "\n[Link]\nMTUBytes=9000\n"),
        ("etc/network/interfaces", "source " + "/*" * 90_000 + "\n"),
    ],
    ids=lambda text: text[:30] if len(text) > 60 else text,
)
def test_an_odd_file_takes_nothing_along_and_no_time(tmp_path: Path, path: str, text: str) -> None:
    begin = time.process_time()
    owners = read(tmp_path, {path: text, **GOOD}, 0o755)
    assert time.process_time() - begin < 5
    assert [claim.path for claim in owners.claims or [] if claim.owner == "sysfsutils"] == ["/etc/sysfs.d/good.conf"]
    assert json.dumps([claim.value for claim in owners.claims or []])


def test_a_file_that_its_reader_stumbles_over_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbles(text: str) -> list[Section]:
        if "odd" in text:
            raise RecursionError
        return read_sections(text)

    monkeypatch.setattr(networkmanager, "read_sections", stumbles)
    profile = "[connection]\ninterface-name={}\n[sriov]\ntotal-vfs=3\n"
    folder = "etc/NetworkManager/system-connections"
    names = {"a": "enp1s0", "b": "odd", "c": "ens9", "d": "odd"}
    owners = read(tmp_path, {f"{folder}/{name}": profile.format(card) for name, card in names.items()} | GOOD)
    assert [claim.path for claim in owners.claims or []] == [f"/{folder}/a", f"/{folder}/c", "/etc/sysfs.d/good.conf"]
    assert [text.partition(" was")[0] for text in owners.unread] == [f"/{folder}/b", f"/{folder}/d"]
    assert "it could not be understood (RecursionError)" in owners.unread[0]


def test_a_reader_that_can_not_begin_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(files: Files, cards: Cards) -> list[Claim]:
        raise MemoryError

    monkeypatch.setitem(_READERS, "udev", fails)
    owners = read(tmp_path, GOOD)
    assert owners.unread == ["The files of udev could not be understood. What they say of network cards is not known."]
    assert len(owners.claims or []) == 1


def test_there_is_an_end_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.host.local.claims.files._SECONDS", -1.0)
    owners = read(tmp_path, GOOD)
    assert owners.claims == []
    assert any("good.conf was not read: those before it took more than" in text for text in owners.unread)


def test_an_rc_local_that_may_not_be_executed_is_not_run(tmp_path: Path) -> None:
    text = "#!/bin/sh\necho 4 > /sys/class/net/enp1s0/device/sriov_numvfs\n"
    assert said(read(tmp_path, {"etc/rc.local": text}, 0o644)) == []


@pytest.mark.parametrize(
    ("path", "content", "why"),
    [
        ("etc/netplan/a.yaml", b"network: {", "it is no YAML"),
        ("etc/netplan/a.yaml", b"network: [" + b"[" * 300, "it is no YAML"),
        ("etc/netplan/a.yaml", b"a: &a [x, x]\n" + b"".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n".encode() for n in range(9)
        ), "too large"),
        ("etc/netplan/a.yaml", b"x: " + b"1" * 70_000, "it has more than 64 KiB"),
        ("etc/systemd/network/a.link", b"x" * 300_000, "it has more than 256 KiB"),
        ("etc/udev/rules.d/a.rules", b"sriov\0\xff", "it is no text"),
        ("etc/sysfs.conf", None, "it is no regular file"),
    ],
)  # fmt: skip
def test_what_can_not_be_read_is_said(tmp_path: Path, path: str, content: bytes | None, why: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    if content is None:
        os.mkfifo(tmp_path / path)
    else:
        (tmp_path / path).write_bytes(content)
    owners = read(tmp_path, {"etc/sysfs.d/good.conf": "class/net/enp1s0/device/sriov_numvfs = 4\n"})
    assert len(owners.unread) == 1
    assert owners.unread[0].startswith(f"/{path} was not read: ")
    assert why in owners.unread[0]
    assert len(owners.claims or []) == 1


@pytest.mark.parametrize("content", [b"\xff\xfe[Match\n=\n[", b"[Link]\n\\\n\\", b"%$#\n{{{", b""])
def test_garbage_says_nothing(tmp_path: Path, content: bytes) -> None:
    for name in (
        "etc/systemd/network/a.link",
        "etc/NetworkManager/system-connections/a",
        "etc/network/interfaces",
        "etc/udev/rules.d/a.rules",
        "etc/sysfs.conf",
        "etc/tmpfiles.d/a.conf",
        "etc/sysconfig/network-scripts/ifcfg-a",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert read_claims(tmp_path, PFS) == Owners([])


def test_a_masked_unit_is_no_file_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/a.service").symlink_to(os.devnull)
    (tmp_path / "etc/systemd/system/b.service").symlink_to("/nowhere")
    assert read_claims(tmp_path, PFS) == Owners([])


def test_without_a_pf_nothing_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "etc/netplan").mkdir(parents=True)
    (tmp_path / "etc/netplan/a.yaml").write_text("[")
    assert read_claims(tmp_path, {}) == Owners([])
