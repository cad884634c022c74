"""The inventory: the document and the table."""

from __future__ import annotations

import json
import re
from typing import Any

from reconciler.host.model import Nic, Snapshot
from reconciler.plan.inventory import build_inventory, inventory_schema
from reconciler.report.inventory_text import render_inventory
from tests.unit.report import samples


def rows(document: dict[str, Any]) -> list[list[str]]:
    lines = render_inventory(document, color=False).splitlines()
    return [re.split(" {2,}", line.strip()) for line in lines]


def test_the_document_is_json_and_has_every_vf_with_holders_and_pools() -> None:
    document = json.loads(json.dumps(build_inventory(samples.host())))
    assert document["format"] == "reconciler-inventory/1"
    assert list(document)[:3] == ["format", "tool", "taken_at"]
    first, second = document["pfs"]
    assert first["used_vfs"] == 3
    assert second["vfs"] == []
    zero, one, two, three = first["vfs"]
    assert zero["holders"] == [{"kind": "guest", "who": "web1", "nic": "ua-rec-data", "mac": "52:54:00:6d:90:02"}]
    assert one["holders"][0]["who"] == "dpdk-testpmd (pid 4711)"
    assert one["pools"] == ["sriov-int"]
    assert two["claims"] == [{"domain": "db1", "nic": "ua-rec-fast"}]
    assert three["attributes"] is None
    assert three["holders"] == []


def test_a_pool_has_capacity_use_and_demand() -> None:
    document = build_inventory(samples.host())
    (pool,) = document["pools"]
    assert (pool["capacity"], pool["used"], pool["nics"]) == (2, 2, 3)
    assert pool["vfs"][0] == {"pf": samples.PF, "index": 1}
    assert "  ! sriov-int: 3 NICs of guests for 2 VFs: not all can run at once." in (
        render_inventory(document, color=False).splitlines()
    )


def test_a_pool_of_a_whole_pf_has_its_vfs() -> None:
    host = samples.host()
    pool = host.libvirt.networks["sriov-int"]
    pool.active, pool.pf_dev, pool.addresses, pool.live_addresses = False, "p1p1", [], []
    document = build_inventory(host)
    assert document["pools"][0]["capacity"] == 4
    assert all(vf["pools"] == ["sriov-int"] for vf in document["pfs"][0]["vfs"])


def test_an_address_of_a_pool_without_a_vf_is_told() -> None:
    host = samples.host()
    host.libvirt.networks["sriov-int"].live_addresses.append("0000:01:1f.0")
    document = build_inventory(host)
    assert document["pools"][0]["missing"] == ["0000:01:1f.0"]
    assert "no VF at 0000:01:1f.0" in render_inventory(document, color=False)


def test_the_table() -> None:
    found = rows(build_inventory(samples.host()))
    assert found[0] == ["r620-01: 2 PFs, 4 VFs, 3 in use.", "(observed 2026-01-01T00:00:00Z)"]
    assert found[2] == [
        "enp1s0 (p1p1)",
        "0000:01:00.0 [8086:10c9], Intel 82576, igb, NUMA node 0, up, 1000 Mbit/s, MTU 9000, VFs 4 of 7, 3 in use, "
        "autoprobe off",
    ]
    assert found[3] == ["used by the host: address 192.0.2.1/24, master br0"]
    assert found[4][:3] == ["VF", "PCI address", "driver"]
    zero = [
        "0",
        "0000:01:10.0",
        "vfio-pci",
        "40",
        "-",
        "52:54:00:6d:90:02",
        "100",
        "1000",
        "on",
        "off",
        "auto",
    ]
    assert found[5] == [*zero, "-", "web1 (ua-rec-data, 52:54:00:6d:90:02)"]
    assert found[6][-2:] == ["sriov-int", "process dpdk-testpmd (pid 4711)"]
    assert found[7][-1] == "the host: enp1s0v2: address 192.0.2.9/24; (off) db1 (ua-rec-fast)"


def test_unknown_is_a_question_mark_and_nothing_is_a_dash() -> None:
    found = rows(build_inventory(samples.host()))
    assert found[8] == ["3", "0000:01:10.6", "-", "43", "-", *["?"] * 6, "-", "-"]


def test_without_libvirt_pools_are_unknown_and_the_reason_is_told() -> None:
    host = samples.host()
    host.libvirt.available, host.libvirt.reason = False, "There is no socket."
    host.libvirt.domains, host.libvirt.networks, host.vfio_open = {}, {}, None
    host.modules.loaded = host.modules.blacklist = None
    found = rows(build_inventory(host))
    assert found[5][-2] == "?"
    assert found[5][-1].startswith("? bound to vfio-pci")
    assert ["loaded", "?"] in found
    assert ["blacklisted", "?"] in found
    assert ["- libvirt could not be asked, so guests and pools are not known. There is no socket."] in found


def test_a_column_with_nothing_in_it_is_left_out() -> None:
    host = samples.host()
    host.libvirt.networks = {}
    assert "pool" not in rows(build_inventory(host))[4]


def test_a_host_without_pfs() -> None:
    document = build_inventory(Snapshot())
    assert render_inventory(document, color=False).startswith("this host: no PF was found")


def test_qos_protocol_and_minimum_rate_are_shown_when_unusual() -> None:
    host = samples.host()
    attributes = host.pfs[samples.PF].vfs[0].attributes
    assert attributes is not None
    attributes.update(qos=3, vlan_proto="802.1ad", min_tx_rate=100)
    row = rows(build_inventory(host))[5]
    assert row[6:8] == ["100 qos 3 802.1ad", "100..1000"]


def test_colour_adds_nothing_and_names_are_harmless() -> None:
    host = samples.host()
    host.pfs[samples.PF].netdev = "enp\n\x1b[2J"
    host.libvirt.domains["web1"].name = "web\r[bold]"
    document = build_inventory(host)
    plain = render_inventory(document, color=False)
    assert re.sub(r"\x1b\[[0-9;]*m", "", render_inventory(document, color=True)) == plain
    assert all(char == "\n" or char.isprintable() for char in plain)
    assert "web\\r[bold]" in plain


def test_the_schema_describes_the_document() -> None:
    from pydantic import TypeAdapter

    from reconciler.plan.inventory import Inventory

    schema = inventory_schema()
    document = build_inventory(samples.host())
    assert set(schema["properties"]) == set(document)
    TypeAdapter(Inventory).validate_python(document)


def test_a_nic_that_a_running_guest_has_only_for_now_counts_as_well() -> None:
    host = samples.host()
    web = next(domain for domain in host.libvirt.domains.values() if domain.running)
    web.live.append(Nic("pool", "ua-now", "52:54:00:00:00:77", None, "sriov-int"))
    assert build_inventory(host)["pools"][0]["nics"] == 4
