"""`inspect` on a real host: its pictures, and `--watch` on what the kernel reports of VFs' traffic.

No driver that the lab has counts per VF: what must be told from that is told. The kernel says 0 for each of them.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from tests.lab.conftest import WORK, Host
from tests.lab.machinery import netdevsim

SVG = "{http://www.w3.org/2000/svg}"
FILE = """
schema = 1
[pf.int]
match = { name = "enp1s0" }
link = "up"
vfs = 7
vf_driver = "none"
[pool.free]
vfs = ["int/4-6"]
[domain.web1.nic.data]
vf = "int/3"
mac = "52:54:00:6d:98:03"
"""
OWN_STATISTICS = """
export PYTHONPATH=/opt/reconciler/src:/opt/reconciler/deps
python3 -c '
import json
from reconciler.host.local.ethtool import statistics
print(json.dumps(statistics("enp1s0")[0]))'
"""


UNTIL_TOLD = f"""
cd {WORK}
setpriv --reuid=nobody --regid=nogroup --clear-groups reconciler inspect --watch --interval 0.5 >/tmp/watch 2>&1 &
for try in $(seq 900); do grep -q 'reports none' /tmp/watch && break; sleep 0.1; done
kill -TERM $!
wait $!
code=$?
cat /tmp/watch
echo "ended with $code"
"""


@pytest.fixture(scope="module")
def used(host: Host) -> Host:
    """web1 has VF 3 of enp1s0."""
    host.put("inspect.toml", FILE)
    host.reconciler("apply inspect.toml --yes").expect(0)
    return host


def test_the_picture_shows_who_has_what(used: Host) -> None:
    root = ET.fromstring(used.reconciler("inspect --format svg").expect(0).stdout.encode())
    told = [element.text for element in root.iter(f"{SVG}text")]
    assert {"enp1s0", "enp2s0", "enp3s0", "web1", "pool free", "VF 3", "VF 4–6"} <= set(told)
    lines = [path.findtext(f"{SVG}title") for path in root.iter(f"{SVG}path") if "link" in path.get("class", "")]
    assert lines == ["web1 · enp1s0 VF 3 · ua-rec-data"]
    assert '-- guest0 [style=solid, label="ua-rec-data"' in used.reconciler("inspect --format dot").expect(0).stdout
    used.reconciler("inspect --format mermaid -o picture.mmd").expect(0)
    assert '---|"ua-rec-data"| guest0' in used.sh(f"cat {WORK}/picture.mmd")


def test_a_driver_without_counters_is_told_from_one_whose_vfs_are_quiet(used: Host) -> None:
    used.sh("ip link set enp2s0 up")
    (link,) = json.loads(used.sh("ip -s -d -j link show dev enp1s0"))
    for vf in link["vfinfo_list"]:
        assert set(vf["stats"]["rx"].values()) | set(vf["stats"]["tx"].values()) == {0}, "igb counts after all"
    told = used.reconciler("inspect --watch --interval 0.5 --count 2").expect(0)
    told.says("enp1s0 (igb): this driver reports none (7 VFs, 1 in use)")
    assert told.stdout.count("per second, over") == 2


def test_statistics_of_the_real_driver_are_read_and_hold_no_vf(used: Host) -> None:
    names = json.loads(used.sh(OWN_STATISTICS))
    shown = [line.partition(":")[0].strip() for line in used.sh("ethtool -S enp1s0").splitlines()[1:]]
    assert names == shown
    assert "rx_packets" in names


@pytest.mark.long
def test_three_hundred_vfs_with_statistics_wrap_no_length(used: Host) -> None:
    """Their list is 300 x 296 bytes long, and its length has 16 bits."""
    netdev = netdevsim.plug_in(used.lab, 300, 300)
    used.reconciler("inspect --watch --interval 0.5 --count 1").expect(0).says(
        f"{netdev} (netdevsim): this driver reports none (300 VFs, 0 in use)"
    )
    root = ET.fromstring(used.reconciler("inspect --format svg").expect(0).stdout.encode())
    assert "VF 0–299" in [element.text for element in root.iter(f"{SVG}text")]


def test_it_ends_by_a_signal_with_0_also_without_root(used: Host) -> None:
    used.sh(f"chmod 755 /root {WORK}")
    said = used.sh(UNTIL_TOLD)
    assert "enp1s0 (igb): this driver reports none" in said
    assert said.splitlines()[-1] == "ended with 0"
