"""Every XML that is handed to libvirt is valid by the schemas that libvirt itself ships."""

from __future__ import annotations

import base64
import io
import tarfile
from pathlib import Path

import pytest
from lxml import etree

from reconciler.host.local import libvirt_xml as xml
from reconciler.host.protocol import NicSpec, PoolSpec
from tests.lab.conftest import Host

NICS = [
    NicSpec("interface", "ua-rec-data", mac="52:54:00:6d:90:02", vlan=100, vf_address="0000:3b:10.0"),
    NicSpec("interface", "ua-rec-mgmt", mac="52:54:00:6d:90:03", vf_address="0000:3b:10.2"),
    NicSpec("hostdev", "ua-rec-fast", vf_address="0001:3b:1f.7"),
    NicSpec("pool", "ua-rec-pool", mac="52:54:00:6d:90:04", vlan=7, pool="sriov-int"),
]
POOLS = [
    PoolSpec("sriov-int", pf_dev="p1p1"),
    PoolSpec("a & <b>", uuid="5d744f21-ba4a-4d6e-bdb2-30a35ff3207d", addresses=["0000:3b:10.0", "0001:3b:1f.7"]),
]


@pytest.fixture(scope="module")
def schemas(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libvirt's schemas, as the lab has them."""
    folder = tmp_path_factory.mktemp("schemas")
    packed = host.sh("tar -C /usr/share/libvirt -cz schemas | base64")
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "schemas"


def test_pools(schemas: Path) -> None:
    checker = etree.RelaxNG(file=str(schemas / "network.rng"))
    for pool in POOLS:
        checker.assertValid(xml.parse(xml.render_pool(pool)))


def test_nics(schemas: Path) -> None:
    checker = etree.RelaxNG(file=str(schemas / "domain.rng"))
    for nic in NICS:
        domain = (
            "<domain type='kvm'><name>a</name><memory>1</memory><os><type>hvm</type></os>"
            f"<devices>{xml.render_nic(nic)}</devices></domain>"
        )
        checker.assertValid(xml.parse(domain))
