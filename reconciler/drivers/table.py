"""What is known of each driver, with its source: function names in Linux 6.12, ``drivers/net/ethernet`` unless said
otherwise. An unknown driver gets the careful values of `UNKNOWN`."""

from __future__ import annotations

import errno
from dataclasses import replace

from reconciler.drivers.facts import CHECKED, PLAIN, DriverFacts, Rate, VfCount
from reconciler.state.desired import AttributeValue

_RESET_ALL = frozenset({"mac", "vlan", "qos", "vlan_proto", "trust"})
_ONLY_Q: dict[str, dict[AttributeValue, int]] = {"vlan_proto": {"802.1ad": errno.EPROTONOSUPPORT}}
_NO_QUERY = {"query_rss": errno.EOPNOTSUPP}

UNKNOWN = DriverFacts(known=False, count=VfCount(bounces_pf=True), resets_vf=_RESET_ALL)

_IGB = DriverFacts(
    name="igb",
    hardware="Intel 82576",
    vf_driver="igbvf",
    queues="1",
    # igb_ndo_set_vf_bw: link up, up to the link's speed (100 or 1000); min_tx_rate must be 0
    max_rate=Rate(within_link=True, link="any"),
    refuses=_ONLY_Q,  # igb_ndo_set_vf_vlan
    lacks={**_NO_QUERY, "link_state": errno.EOPNOTSUPP},  # igb_netdev_ops
    speed_change_clears_rate=True,  # igb_check_vf_rate_limit
    count=VfCount(limit=7, bounces_pf=True),  # igb_probe_vfs; igb_sriov_reinit closes the PF
    fresh=CHECKED,  # igb_vf_configure
    reload_for_mac=True,  # igb_ndo_set_vf_mac
)

DRIVERS: dict[str, DriverFacts] = {
    "igb": _IGB,
    "ixgbe": DriverFacts(
        name="ixgbe",
        hardware="Intel 82599, X520, X540, X550",
        vf_driver="ixgbevf",
        queues="2",
        # ixgbe_ndo_set_vf_bw: exactly a 10G link; 0 or 11..10000; also to set 0
        max_rate=Rate(lowest=11, highest=10000, link="any", link_speed=10000),
        refuses=_ONLY_Q,
        # ixgbe_ndo_set_vf_link_state: enable only logs that it is not supported
        ignored={"link_state": frozenset({"enable"})},
        count=VfCount(limit=63, bounces_pf=True),
        fresh={**CHECKED, "query_rss": False},
        resets_vf=frozenset({"trust"}),
        reload_for_mac=True,
    ),
    # i40e_ndo_set_vf_{mac,port_vlan,trust} call i40e_vc_reset_vf; i40e_do_reset_safe on the first creation
    "i40e": DriverFacts(
        name="i40e",
        vf_driver="iavf",
        queues="4, up to 16 on request",
        max_rate=Rate(lowest=50, within_link=True, step=50),
        refuses=_ONLY_Q,
        lacks=_NO_QUERY,
        count=VfCount(limit=128, error=errno.EPERM, bounces_pf=True),
        fresh=CHECKED,
        resets_vf=_RESET_ALL,
    ),
    # ice_set_vf_bw checks against the link speed, 0 while down; ice_set_vf_{mac,trust,port_vlan} reset the VF
    "ice": DriverFacts(
        name="ice",
        vf_driver="iavf",
        max_rate=Rate(within_link=True, link="rate"),
        min_rate=Rate(),
        fresh=CHECKED,
        resets_vf=_RESET_ALL,
    ),
    "be2net": DriverFacts(name="be2net", max_rate=Rate(lowest=100, link="any", link_error=errno.ENETDOWN)),
    "cxgb4": DriverFacts(name="cxgb4", max_rate=Rate(within_link=True, link="rate")),
    # mlx5_eswitch_clear_vf_vports_info
    "mlx5_core": DriverFacts(name="mlx5_core", fresh=PLAIN, vf_driver="mlx5_core", min_rate=Rate()),
    # drivers/net/netdevsim: vfconfigs are allocated at probe and survive 0 to N
    "netdevsim": DriverFacts(
        name="netdevsim",
        hardware="the kernel's simulated device",
        min_rate=Rate(),
        count=VfCount(error=errno.ENOMEM),
        mtu_bounces_pf=False,
        fresh=None,
        survives=frozenset([*PLAIN, "query_rss"]),
    ),
}

VARIANTS: dict[tuple[str, str], DriverFacts] = {
    # igb_ndo_set_vf_bw: only the 82576 can do it
    ("igb", "1521"): replace(
        _IGB,
        hardware="Intel I350",
        lacks={**_IGB.lacks, "max_tx_rate": errno.EOPNOTSUPP, "min_tx_rate": errno.EOPNOTSUPP},
    ),
}
"""Cards that differ from the rest of their driver, by driver and PCI device id of the PF."""


def facts(driver: str | None, device_id: str | None = None) -> DriverFacts:
    """The facts of a driver by its kernel name, and of a card by its PCI device id (four hex digits) where cards of
    one driver differ; careful ones for a driver that isn't in the table."""
    if driver is None:
        return UNKNOWN
    known = VARIANTS.get((driver, device_id or "")) or DRIVERS.get(driver)
    return known if known is not None else replace(UNKNOWN, name=driver)
