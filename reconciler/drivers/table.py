"""Facts about PF drivers that planning needs. An unknown driver gets the careful values of `UNKNOWN`.

Sources are function names in Linux 6.12 (``drivers/net/ethernet`` unless said otherwise).
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.state.desired import ZERO_MAC, Attributes

_PLAIN: Attributes = {
    "mac": ZERO_MAC,
    "vlan": 0,
    "qos": 0,
    "vlan_proto": "802.1Q",
    "spoofchk": False,
    "trust": False,
    "link_state": "auto",
    "min_tx_rate": 0,
    "max_tx_rate": 0,
}
_INTEL: Attributes = {**_PLAIN, "spoofchk": True}


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """One driver."""

    rate_needs_link: bool = False
    """A rate is refused (EINVAL) while the PF has no carrier, also to set 0."""
    creation_bounces_pf: bool = False
    """Making or removing VFs closes and reopens the PF, so that its link is lost for a moment."""
    mtu_bounces_pf: bool = True
    """Setting the MTU re-initialises the PF."""
    fresh: Attributes | None = None
    """Attributes of a VF that was just made; ``None``: not known, or what they were before."""
    resets_vf: frozenset[str] = frozenset()
    """Attributes whose change resets a VF in use."""
    vf_driver: str = "kernel"
    """Name of the host's driver for its VFs; ``kernel`` when it isn't known."""


_RESET_ALL = frozenset({"mac", "vlan", "qos", "vlan_proto", "trust"})

UNKNOWN = DriverFacts(creation_bounces_pf=True, resets_vf=_RESET_ALL)

DRIVERS: dict[str, DriverFacts] = {
    # igb_ndo_set_vf_bw (link up, link_speed known), igb_sriov_reinit (closes the PF), igb_vf_configure (spoofchk on)
    "igb": DriverFacts(rate_needs_link=True, creation_bounces_pf=True, fresh=_INTEL, vf_driver="igbvf"),
    # ixgbe_ndo_set_vf_bw (exactly 10G link), ixgbe_sriov_reinit, __ixgbe_enable_sriov; a trust change kicks the VF
    "ixgbe": DriverFacts(
        rate_needs_link=True,
        creation_bounces_pf=True,
        fresh=_INTEL,
        resets_vf=frozenset({"trust"}),
        vf_driver="ixgbevf",
    ),
    # i40e_ndo_set_vf_{mac,port_vlan,trust} call i40e_vc_reset_vf; i40e_do_reset_safe on the first creation
    "i40e": DriverFacts(creation_bounces_pf=True, fresh=_INTEL, resets_vf=_RESET_ALL, vf_driver="iavf"),
    # ice_set_vf_bw checks against the link speed, 0 while down; ice_set_vf_{mac,trust,port_vlan} reset the VF
    "ice": DriverFacts(rate_needs_link=True, fresh=_INTEL, resets_vf=_RESET_ALL, vf_driver="iavf"),
    # be_set_vf_tx_rate: ENETDOWN; cxgb4_mgmt_set_vf_rate
    "be2net": DriverFacts(rate_needs_link=True),
    "cxgb4": DriverFacts(rate_needs_link=True),
    # mlx5_eswitch_clear_vf_vports_info
    "mlx5_core": DriverFacts(fresh=_PLAIN, vf_driver="mlx5_core"),
    # drivers/net/netdevsim: vfconfigs are allocated at probe and survive 0 to N
    "netdevsim": DriverFacts(mtu_bounces_pf=False),
}


def facts(driver: str | None) -> DriverFacts:
    """The facts of a driver by its kernel name; careful ones for a driver that isn't in the table."""
    return DRIVERS.get(driver or "", UNKNOWN)
