"""A NIC that moves: to another VF, another method, a pool. The guest answers and has it again, or it doesn't and
nothing has changed.

One host goes through it in the order of this file: web1 answers, idle1 never leaves its firmware.
"""

from __future__ import annotations

import re

import pytest

from tests.lab.conftest import Host
from tests.lab.machinery.basics import wait_until

MAC = "52:54:00:6d:98:01"
STATE = f"""
schema = 1

[pf.int]
match = {{ name = "enp1s0" }}
link = "up"
vfs = 4
vf_driver = "none"

[pool.last]
vfs = ["int/3"]

[domain.web1.nic.data]
WEB
mac = "{MAC}"

[domain.idle1.nic.data]
IDLE
mac = "52:54:00:6d:98:02"
max_tx_rate = 100
"""
WEB, IDLE = 'vf = "int/0"', 'vf = "int/2"'


def put(host: Host, web: str = WEB, idle: str = IDLE) -> None:
    host.put("moves.toml", STATE.replace("WEB", web).replace("IDLE", idle))


def of(host: Host, guest: str) -> str:
    """All that libvirt has of a guest, now and at its next start, and what the VFs have."""
    text = host.sh(f"virsh dumpxml {guest}; virsh dumpxml --inactive {guest}; ip -d link show enp1s0 | grep 'vf '")
    return re.sub(r"<domain type='kvm' id='\d+'", "", text)


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def moving(host: Host) -> Host:
    """Both guests run and have their NICs."""
    host.sh("virsh start idle1")
    put(host)
    host.reconciler("apply moves.toml --yes").expect(0)
    return host


@pytest.mark.long
def test_a_guest_that_does_not_answer_keeps_everything_as_it_was(moving: Host) -> None:
    before = of(moving, "idle1")
    for idle in ('vf = "int/1"', 'state = "absent"'):
        put(moving, idle=idle)
        ran = moving.reconciler("apply moves.toml --yes --allow guest").expect(4)
        ran.says("idle1", "60 s after the request", "has not answered the unplug request", "it still has it")
        assert of(moving, "idle1") == before
    put(moving)
    moving.reconciler("plan moves.toml --detailed-exitcode").expect(0)


@pytest.mark.parametrize(
    ("web", "element", "kind", "vf"),
    [
        ('vf = "int/1"', "interface", "hostdev", 1),
        ('vf = "int/1"\nmethod = "hostdev"', "hostdev", "pci", 1),
        ('pool = "last"', "interface", "network", 3),
    ],
    ids=["vf", "method", "pool"],
)
def test_a_guest_that_answers_has_its_nic_again(moving: Host, web: str, element: str, kind: str, vf: int) -> None:
    def seen() -> int:
        """How often the guest's own user land has told of the card with its MAC and driver."""
        return moving.sh("cat /var/log/lab/web1.log").count(f"{MAC} igbvf")

    before = seen()
    put(moving, web)
    ran = moving.reconciler("apply moves.toml --yes --allow guest").expect(0)
    ran.says("-/+ domain.web1.nic.data", "detach from running guest web1 and its definition")
    (nic,) = moving.nics("web1").values()
    (lasting,) = moving.nics("web1", inactive=True).values()
    assert (nic.alias, nic.address) == ("ua-rec-data", moving.vf_address("enp1s0", vf))
    assert (lasting.alias, lasting.element, lasting.kind) == ("ua-rec-data", element, kind)
    assert moving.vfs("enp1s0")[vf]["mac"] == MAC

    wait_until(lambda: seen() > before, "web1 has the card again, with its MAC and a driver", 60, 1)
