"""A shut-off guest moves from one lab to another one, over ssh; whatever goes wrong, it is on one side in the end, and
there its NICs are whole."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.lab.conftest import WORK, Host, Ran
from tests.lab.machinery.core import Lab

URI = "qemu+ssh://root@lab-b/system"
MOVE = f"migrate db1 --to {URI}"
FAULT = "env PYTHONPATH=/opt/reconciler/src:/opt/reconciler/deps python3 fault.py"
PORT = 2222
"""On the first lab, where the second one's ssh is found."""

SSH_CONFIG = f"""
Host lab-b
  HostName 127.0.0.1
  Port {PORT}
  HostKeyAlias lab
  BatchMode yes
  ConnectTimeout 10
"""

PORTS = """
schema = 1
[pf.int]
match = {{ name = "enp1s0" }}
link = "up"
vfs = 3
vf_driver = "none"
[pf.ext]
match = {{ name = "enp2s0" }}
link = "up"
vfs = 4
vf_driver = "none"
[pool.shared]
vfs = ["ext/{pool}"]
"""
HERE = (
    PORTS.format(pool="2-3")
    + """
[domain.db1.nic.mgmt]
vf = "int/1"
mac = "52:54:00:6d:92:01"
vlan = 201
[domain.db1.nic.fast]
vf = "ext/0"
method = "hostdev"
mac = "52:54:00:6d:92:02"
vlan = 202
trust = true
[domain.db1.nic.data]
pool = "shared"
mac = "52:54:00:6d:92:03"
"""
)
ALL = {"ua-rec-mgmt", "ua-rec-fast", "ua-rec-data"}


@pytest.fixture(scope="module")
def other(host: Host) -> Iterator[Host]:
    """A second lab, which has no guests yet, and which the first one reaches by ssh."""
    lab = Lab(f"{host.lab.name}-b")
    ran_before = lab.running()
    try:
        lab.up()
        if ran_before:
            lab.restore()
        lab.push()
        made = Host(lab)
        # Both are copies of one host: it gets a name and a UUID of its own.
        made.sh(
            f"mkdir -p {WORK} && hostname lab-b && virsh destroy web1 && "
            "for guest in web1 db1 idle1; do virsh undefine $guest; done && "
            "echo 'host_uuid = \"7b1f0001-0000-4000-8000-00000000000b\"' >>/etc/libvirt/libvirtd.conf && "
            "systemctl restart libvirtd && virsh capabilities >/dev/null"
        )
        _way(host.lab, lab)
        host.put("fault.py")
        yield made
    finally:
        if not ran_before:
            lab.down()


def _way(lab: Lab, to: Lab) -> None:
    """Over the machine that both labs run on: they have no network between them."""
    *arguments, target = lab.shell.arguments()
    forward = ["-O", "forward", "-R", f"127.0.0.1:{PORT}:127.0.0.1:{to.port}"]
    subprocess.run([*arguments, *forward, target], cwd=lab.dir, check=True, capture_output=True)
    lab.run("umask 077; mkdir -p /root/.ssh; cat >/root/.ssh/id_ed25519", input=to.image.key.read_text())
    lab.run("cat >/root/.ssh/known_hosts", input=to.image.known_hosts.read_text())
    lab.run("cat >/root/.ssh/config", input=SSH_CONFIG)


def with_fault(host: Host, arguments: str) -> Ran:
    """Runs the tool with something that happens in the middle: arguments for files/fault.py."""
    done = host.lab.run(f"cd {WORK} && {FAULT} {arguments}; exit $?", 240, check=False)
    return Ran(arguments, done.returncode, done.stdout, done.stderr)


def guests(host: Host) -> set[str]:
    return set(host.sh("virsh list --all --name").split())


@pytest.mark.long
def test_a_guest_moves_whatever_goes_wrong_on_the_way(host: Host, other: Host) -> None:
    host.put("host.toml", HERE)
    host.reconciler("apply host.toml --yes").expect(0)
    host.sh("virsh autostart db1")
    whole = host.sh("virsh dumpxml --inactive db1")

    # The pool that it is on is missing there; a running guest has to be shut down.
    host.reconciler(f"{MOVE} --yes").expect(1).says("has no libvirt network shared", "Nothing was changed")
    host.reconciler(f"migrate web1 --to {URI} --yes").expect(5).says("The guest runs.", "virsh shutdown web1")
    other.put("host.toml", PORTS.format(pool="0-1"))
    other.reconciler("apply host.toml --yes").expect(0)
    shown = host.reconciler(f"{MOVE} --dry-run").expect(0)
    shown.says("NICs on the pool shared need nothing", "[domain.db1.nic.fast]", "trust = true", "vlan = 202")
    assert "db1" not in guests(other)
    assert host.sh("virsh dumpxml --inactive db1") == whole

    # The connection is cut for good as soon as it is defined there: it is whole here, and what is there is told.
    cut = "pkill -x ssh; sed -i s/2222/2223/ /root/.ssh/config"
    lost = with_fault(host, f"guests.define 2 after {cut!r} {MOVE} --yes").expect(4)
    lost.says("may have db1, too", "start it here only")
    assert host.sh("virsh dumpxml --inactive db1") == whole
    assert "db1" in guests(other)
    host.reconciler("plan host.toml").expect(0)
    host.reconciler("history").says(f"move of db1 to {URI}", "failed part-way")
    host.sh("sed -i s/2223/2222/ /root/.ssh/config")

    # Run again, it is taken back there and begun anew; killed when it has just gone from here, it is there.
    killed = with_fault(host, f"guests.undefine 2 after kill {MOVE} --yes")
    assert killed.code != 0
    killed.says("Taken back: db1 is no longer on")
    assert ("db1" in guests(host), "db1" in guests(other)) == (False, True)
    host.reconciler(f"{MOVE} --yes").expect(0).says("Moved: db1")
    assert ("db1" in guests(host), "db1" in guests(other)) == (False, True)
    assert "Autostart: enable" in " ".join(other.sh("LC_ALL=C virsh dominfo db1").split())
    assert other.nics("db1", inactive=True).keys() == {"ua-rec-data"}
    host.reconciler(f"{MOVE} --yes").expect(64).says("There is no such guest")

    # There the NICs are declared, with what was printed; it has its VFs as soon as it starts.
    table = "\n".join(line.strip() for line in killed.stdout.split("After it:")[1].splitlines())
    nics = table[table.index("[domain.") : table.index("Take db1")].strip()
    nics = nics.replace('pf = "…"', 'pf = "int"', 1).replace('pf = "…"', 'pf = "ext"', 1)
    other.put("host.toml", PORTS.format(pool="0-1") + nics + '\n[domain.db1.nic.data]\npool = "shared"\n')
    other.reconciler("apply host.toml --yes").expect(0)
    other.sh("virsh start db1")
    found = other.nics("db1")
    assert found.keys() >= ALL
    assert found["ua-rec-mgmt"].mac == "52:54:00:6d:92:01"
    assert found["ua-rec-data"].mac == "52:54:00:6d:92:03"
    vfs = {vf["mac"]: vf for vf in [*other.vfs("enp1s0").values(), *other.vfs("enp2s0").values()]}
    assert vfs["52:54:00:6d:92:01"]["vlan"] == 201
    assert (vfs["52:54:00:6d:92:02"]["vlan"], vfs["52:54:00:6d:92:02"]["trust"]) == (202, True)
    assert "52:54:00:6d:92:03" in vfs
