"""Files of other tools, which every command that reads a host comes by."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.host.local.claims.read import read_claims
from reconciler.host.model import Pf, Vf
from tests.fuzz.conftest import tries
from tests.fuzz.mutate import TEXTS, cut

PF = Pf("pci", "0000:01:00.0", "enp1s0", mac="52:54:00:1a:b0:00", vendor="8086", device_id="10c9", driver="igb")
PF.vfs = [Vf(0, address="0000:01:10.0", netdev="enp1s0v0")]
SECONDS = 8.0
SECTIONS = (
    "[Match]\nName=enp1s0\n[Link]\nMTUBytes=9K\nSR-IOVVirtualFunctions=4\n[SR-IOV]\nVirtualFunction=1\nVLANId=7\n"
)
SHELL = (
    "#!/bin/sh\nPF=enp1s0\nfor i in $(seq 0 3) {4..6}; do\n ip link set $PF vf $i vlan 7 trust on; done\n"
    'N="4"; echo $N | tee /sys/class/net/$PF/device/sriov_numvfs\nA=$(cat x)\nip link set dev ${PF} mtu 9000 up\n'
)
YAML = (
    "network:\n  ethernets:\n    enp1s0: &a {virtual-function-count: 4, mtu: 9000}\n    enp1s0v0: {link: enp1s0}\n"
    "  vlans:\n    v: {renderer: sriov, id: 7, link: enp1s0v0}\n    w: *a\n"
)
PROFILE = (
    "[connection]\ntype=ethernet\n[match]\ndriver=igb;!x*;&i?b\n[sriov]\ntotal-vfs=4\nvf.1=vlans=1.2.ad trust=true\n"
)
FILES = {
    "etc/systemd/network/a.link": SECTIONS,
    "etc/systemd/network/a.network": SECTIONS,
    "etc/netplan/a.yaml": YAML,
    "etc/NetworkManager/system-connections/a": PROFILE,
    "etc/NetworkManager/conf.d/a.conf": "[device-a]\nmatch-device=driver:igb;except:mac:1\nsriov-num-vfs=3\n",
    "etc/sysconfig/network-scripts/ifcfg-a": 'DEVICE=enp1s0\nMTU="9000"\nSRIOV_VF1="vlans=5"\n',
    "etc/network/interfaces": "source x/*\niface enp1s0 inet manual\n mtu 9000\n up ip link set $IFACE vf 0 trust on\n",
    "etc/rc.local": SHELL,
    "etc/sysfs.conf": "class/net/enp1s0/device/sriov_numvfs = 4\n",
    "etc/tmpfiles.d/a.conf": "w /sys/class/net/enp1s0/device/sriov_numvfs - - - - 4\n",
    "etc/udev/rules.d/a.rules": (
        'SUBSYSTEM=="net", KERNELS=="0000:01:*", ATTR{device/sriov_numvfs}="4", '
        "RUN+=\"/bin/sh -c 'ip link set %k vf 0 trust on'\"\n"
    ),
    "etc/os-net-config/a.yaml": "- {type: sriov_pf, name: enp1s0, numvfs: 4}\n"
    "- {type: sriov_vf, device: enp1s0, vfid: 2}\n",
    "etc/sriov-operator/pci/0000:01:00.0": '{"pciAddress":"0000:01:00.0", "numVfs":8,"mtu":9000}',
}
HOSTILE = [text.encode("utf-8", "surrogatepass") for text in TEXTS] + [
    *(
        b"9" * 5000,
        b"[" * 9000,
        b'A="$A$A"\n' * 40,
        b"$PF" * 5000,
        b"for i in {0..99999}; do ",
        b"`",
        b"$((",
        b"{0..",
        b"\\\n",
    ),
    *(b"/*" * 3000, b"A{" * 9000, b"ip link set " * 3000, b"&a [*a]", b"*" * 3000, b"! ;&|", b"'", b'"'),
]


@given(st.data())
@tries(150)
def test_files_of_other_tools(data: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in FILES.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(text.encode())
            (root / name).chmod(0o755)
        for name in data.draw(st.lists(st.sampled_from(sorted(FILES)), min_size=1, max_size=3, unique=True)):
            content = FILES[name].encode()
            for hostile in data.draw(st.lists(st.sampled_from(HOSTILE), max_size=3)):
                at = data.draw(st.integers(0, len(content)))
                content = content[:at] + hostile + content[at + data.draw(st.sampled_from((0, 1, 4))) :]
            (root / name).write_bytes(cut(data.draw, content) if data.draw(st.booleans()) else content)
        begin = time.process_time()
        found = read_claims(root, {PF.id: PF})
        assert time.process_time() - begin < SECONDS
        assert "could not be understood" not in " ".join(found.unread), found.unread
        for claim in found.claims or []:
            assert json.dumps(asdict(claim))
            assert claim.vf is None or 0 <= claim.vf < 100_000
