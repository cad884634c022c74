"""Intel's drivers: function names in Linux 6.12, ``drivers/net/ethernet/intel``."""

from __future__ import annotations

import errno
from dataclasses import replace

from reconciler.drivers.facts import CHECKED, DROPS, PLAIN, RX_TX, DriverFacts, Rate, VfCount
from reconciler.drivers.table.common import NO_QUERY, NO_RATES, ONLY_Q, RESET_ALL, lacking, no_qos, without

_IGB = DriverFacts(
    name="igb",
    hardware="Intel 82576",
    vf_driver="igbvf",
    queues="1",  # igb_probe_vfs: one queue pair per pool
    # igb_ndo_set_vf_bw: also 0 only with a link, and up to its speed (100 or 1000); min_tx_rate must be 0
    max_rate=Rate(highest=1000, within_link=True, link="any"),
    refuses=ONLY_Q,  # igb_ndo_set_vf_vlan
    lacks=lacking("link_state"),  # igb_netdev_ops
    speed_change_clears_rate=True,  # igb_check_vf_rate_limit
    count=VfCount(limit=7, bounces_pf=True),  # igb_probe_vfs; igb_sriov_reinit closes the PF
    fresh=CHECKED,  # igb_vf_configure, igb_ndo_get_vf_config
    reports_own_mac=True,  # igb_set_vf_mac_addr
    reload_for_mac=True,  # igb_ndo_set_vf_mac says so in dmesg
)
# igb_ndo_set_vf_bw: only the 82576 can do it, and the others refuse 0 as well
_I350 = replace(_IGB, hardware="Intel I350", lacks={**_IGB.lacks, **NO_RATES}, speed_change_clears_rate=False)

_IXGBE = DriverFacts(
    name="ixgbe",
    hardware="Intel 82599, X520, X540",
    vf_driver="ixgbevf",
    queues="2; 4 up to 31 VFs",  # ixgbe_set_sriov_queues; ixgbevf uses 2
    # ixgbe_ndo_set_vf_bw: exactly a 10G link; 0 or 11..10000; also to set 0
    max_rate=Rate(lowest=11, highest=10000, link="any", link_speed=10000),
    refuses=ONLY_Q,  # ixgbe_ndo_set_vf_vlan
    # ixgbe_ndo_set_vf_link_state: enable only logs that it is not supported, and returns 0
    ignored={"link_state": frozenset({"enable"})},
    counts=RX_TX,  # ixgbe_ndo_get_vf_stats, since 5.18; Intel's own build has them among ethtool's statistics
    speed_change_clears_rate=True,  # ixgbe_check_vf_rate_limit
    # IXGBE_MAX_VFS_DRV_LIMIT, set as sriov_totalvfs; ixgbe_sriov_reinit sets the PF's queues up anew
    count=VfCount(limit=63, bounces_pf=True),
    fresh={**CHECKED, "query_rss": False},  # __ixgbe_enable_sriov
    resets_vf=frozenset({"trust"}),  # ixgbe_ndo_set_vf_trust clears CTS, which makes the VF reset
    reports_own_mac=True,  # ixgbe_set_vf_mac_addr
    reload_for_mac=True,  # ixgbe_ndo_set_vf_mac says so in dmesg
)
# ixgbe_ndo_set_vf_rss_query_en: only below X550
_X550 = replace(_IXGBE, hardware="Intel X550", lacks=NO_QUERY, fresh=CHECKED)

DRIVERS = {
    "igb": _IGB,
    "ixgbe": _IXGBE,
    "i40e": DriverFacts(
        name="i40e",
        hardware="Intel X710, XL710, XXV710, X722",
        vf_driver="iavf",
        queues="4, up to 16 on request of the VF",  # I40E_DEFAULT_QUEUES_PER_VF, I40E_MAX_VF_QUEUES
        # i40e_set_bw_limit: credits of 50 Mbit/s (I40E_BW_CREDIT_DIVISOR), up to the link's speed where it is known;
        # i40e_alloc_vsi_res divides without the clamp to 50 when a VF was reset. The request is what reads back.
        max_rate=Rate(
            within_link=True,
            step=50,
            safe_from=50,
            unsafe="counts in steps of 50 Mbit/s, takes less for 50, and leaves the VF unlimited once it was reset",
        ),
        refuses=ONLY_Q,  # i40e_ndo_set_vf_port_vlan
        lacks=NO_QUERY,  # i40e_netdev_ops
        firmware=frozenset({"trust"}),  # i40e_ndo_set_vf_trust: EINVAL in multi-function mode
        counts=RX_TX | DROPS,  # i40e_get_vf_stats
        # i40e_init_pf's num_req_vfs; i40e_pci_sriov_enable resets the PF when the VEB mode changes. What two ports of
        # one card do to each other when both are reset at once is not known, so one follows the other.
        count=VfCount(limit=128, error=errno.EPERM, bounces_pf=True, one_pf_at_a_time=True),
        fresh=CHECKED,  # i40e_alloc_vfs
        resets_vf=RESET_ALL,  # i40e_vc_reset_vf from i40e_ndo_set_vf_{mac,port_vlan,trust}
        resetting=errno.EAGAIN,  # i40e_check_vf_init_timeout
        reports_own_mac=True,  # i40e_update_vf_mac_addr
        reload_for_mac=True,  # i40e_ndo_set_vf_mac: "bring down and up the VF interface"
    ),
    "ice": DriverFacts(
        name="ice",
        hardware="Intel E810, E82x, E830",
        vf_driver="iavf",
        queues="up to 16, fewer the more VFs there are",  # ice_set_per_vf_res
        # ice_set_vf_bw, ice_get_link_speed_mbps: a link that is down has speed 0
        max_rate=Rate(within_link=True, link="rate"),
        min_rate=Rate(within_link=True, link="rate"),
        min_sum_within_link=True,  # ice_min_tx_rate_oversubscribed
        # ice_is_supported_port_vlan_proto: double VLAN mode; ice_set_vf_bw: not with DCB; ice_set_vf_trust: not in
        # switchdev mode
        firmware=frozenset({"802.1ad", "min_tx_rate", "trust"}),
        counts=RX_TX | DROPS,  # ice_get_vf_stats
        lacks=NO_QUERY,  # ice_netdev_ops
        count=VfCount(limit=256, error=errno.EOPNOTSUPP),  # ICE_MAX_SRIOV_VFS, ice_pci_sriov_ena
        fresh=CHECKED,  # ice_initialize_vf_entry
        resets_vf=RESET_ALL,  # ice_reset_vf from ice_set_vf_{mac,trust,port_vlan}
        resetting=errno.EBUSY,  # ice_check_vf_ready_for_cfg
        reports_own_mac=True,  # ice_vfhw_mac_add
    ),
    "fm10k": DriverFacts(
        name="fm10k",
        hardware="Intel FM10000",
        vf_driver="fm10k",
        queues="2, 4 or 8, fewer the more VFs there are",  # fm10k_iov.c
        max_rate=Rate(highest=100_000),  # fm10k_ndo_set_vf_bw, FM10K_VF_TC_MAX
        ignored={"min_tx_rate": None},  # fm10k_ndo_set_vf_bw: __always_unused min_rate
        refuses=no_qos(),  # fm10k_ndo_set_vf_vlan
        counts=RX_TX | {"rx_dropped"},  # fm10k_ndo_get_vf_stats
        lacks=lacking("spoofchk", "trust", "link_state"),  # fm10k_netdev_ops
        fresh=without(PLAIN, ("spoofchk", "trust")),
        resets_vf=frozenset({"mac", "vlan", "qos", "vlan_proto"}),  # fm10k_reset_lport
    ),
}
VARIANTS = {
    **{("igb", device): _I350 for device in ("1521", "1522", "1523", "1524")},
    **{("ixgbe", device): _X550 for device in ("1563", "15d1", "15ab", "15ac", "15ad", "15ae", "15b0", "15c2", "15c3")},
    **{("ixgbe", device): _X550 for device in ("15c4", "15c6", "15c7", "15c8", "15ca", "15cc", "15ce", "15e4", "15e5")},
}
