"""Drivers of Broadcom's, Emulex' and QLogic's cards: function names in Linux 6.12, ``drivers/net/ethernet``."""

from __future__ import annotations

import errno
from dataclasses import replace

from reconciler.drivers.facts import CHECKED, PLAIN, DriverFacts, Rate, VfCount
from reconciler.drivers.table.common import NO, NO_QUERY, ONLY_Q, lacking, without

_BE2NET = DriverFacts(
    name="be2net",
    hardware="Emulex OneConnect (Lancer)",
    vf_driver="be2net",
    # be_set_vf_tx_rate: 0 or from 100 up to the link's speed, ENETDOWN without a link; min_tx_rate must be 0
    max_rate=Rate(lowest=100, within_link=True, link="rate", link_error=errno.ENETDOWN),
    refuses=ONLY_Q,  # be_set_vf_vlan
    lacks=lacking("trust"),  # be_netdev_ops
    zero_mac="refused",  # be_set_vf_mac
    # be_pci_sriov_configure: success without VFs when the set-up fails; the limit is sriov_totalvfs
    count=VfCount(bounces_pf=True),
    fresh=without(PLAIN, ("mac", "trust", "spoofchk")),  # be_vf_eth_addr_config: a MAC after the PF's
)

DRIVERS = {
    "bnxt_en": DriverFacts(
        name="bnxt_en",
        hardware="Broadcom BCM573xx, BCM574xx, BCM575xx",
        vf_driver="bnxt_en",
        queues="what the PF leaves, shared among the VFs",  # bnxt_hwrm_func_vf_resc_cfg
        # bnxt_set_vf_bw: up to the PF's link speed where it is known, the minimum too
        max_rate=Rate(within_link=True),
        min_rate=Rate(within_link=True),
        qos_needs_vlan=True,  # bnxt_set_vf_vlan
        # bnxt_set_vf_vlan: BNXT_FW_CAP_DFLT_VLAN_TPID_PCP; bnxt_set_vf_spoofchk: ENOTSUPP before HWRM 1.7.1;
        # bnxt_set_vf_trust: success also where the firmware refuses, which bnxt_is_trusted_vf then asks
        firmware=frozenset({"802.1ad", "qos", "spoofchk", "trust"}),
        always_reads={"vlan_proto": "802.1Q"},  # bnxt_get_vf_config doesn't fill it
        lacks=NO_QUERY,  # bnxt_netdev_ops
        # bnxt_sriov_configure: 0 while the PF is down, and bnxt_sriov_enable makes as many as there are resources for
        count=VfCount(error=0, down="none-made"),
        fresh=without(PLAIN, ("mac",)),  # bnxt_set_vf_attr
        reports_own_mac=True,  # bnxt_get_vf_config
    ),
    "bnx2x": DriverFacts(
        name="bnx2x",
        hardware="Broadcom and QLogic 578xx",
        vf_driver="bnx2x",
        queues="up to 16",  # BNX2X_VF_MAX_QUEUES
        ignored={"qos": None},  # bnx2x_set_vf_vlan takes it, bnx2x_get_vf_config reports 0
        refuses=ONLY_Q,  # bnx2x_set_vf_vlan
        lacks=lacking("min_tx_rate", "max_tx_rate", "trust"),  # bnx2x_netdev_ops
        always_reads={"max_tx_rate": 10000},  # bnx2x_get_vf_config: a constant
        zero_mac="refused",  # bnx2x_set_vf_mac
        reports_own_mac=True,  # bnx2x_get_vf_config: what the VF's queue uses
        # bnx2x_sriov_configure: EINVAL while the PF is down; as many as bnx2x_iov_init_one got, the rest is cut off
        count=VfCount(error=0, down="refused"),
        fresh={**without(CHECKED, ("trust",)), "max_tx_rate": 10000},
        survives=frozenset({"spoofchk", "link_state", "mac", "vlan"}),  # the vfdb is made at probe
    ),
    "be2net": _BE2NET,
    # qlogic/qede, qlogic/qed/qed_sriov.c
    "qede": DriverFacts(
        name="qede",
        hardware="QLogic FastLinQ QL41xxx, QL45xxx",
        vf_driver="qede",
        queues="up to 16",  # QED_MAX_VF_CHAINS_PER_PF
        # qed_set_vf_rate: 0 does nothing; qed_inform_vf_link_state: cut to the link's speed, which is what 0 reads as
        max_rate=Rate(within_link=True, beyond="clamped", zero="ignored"),
        unset_rate_reads_speed=True,  # qed_get_vf_config
        # qed_init_wfq_param: at least a hundredth of the link's speed (QED_WFQ_UNIT)
        min_rate=Rate(lowest_part=100, within_link=True, zero="ignored"),
        min_sum_within_link=True,
        ignored={"qos": None},  # qede_set_vf_vlan takes it, qed_get_vf_config reports 0
        refuses=ONLY_Q,  # qede_set_vf_vlan
        lacks=NO_QUERY,  # qede_netdev_ops
        zero_mac="refused",  # qede_set_vf_mac
        reads_late=frozenset({"spoofchk"}),  # qed_iov_spoofchk_get: once the VF started its vport
        count=VfCount(error=errno.EINVAL),  # qed_sriov_enable: RESC_NUM(VPORT) - 1
        fresh=without(PLAIN, ("max_tx_rate",)),  # qed_iov_release_hw_for_vf
    ),
    # qlogic/qlcnic/qlcnic_sriov_pf.c
    "qlcnic": DriverFacts(
        name="qlcnic",
        hardware="QLogic 83xx",
        vf_driver="qlcnic",
        # qlcnic_sriov_set_vf_tx_rate: below 10000, and what is programmed is what reads back
        max_rate=Rate(
            highest=9999,
            step=100,
            reports_step=True,
            safe_from=100,
            unsafe="counts in steps of 100 Mbit/s, and less than one is none",
        ),
        min_rate=Rate(lowest=100, highest=9999, step=100, reports_step=True),
        refuses=ONLY_Q,  # qlcnic_sriov_set_vf_vlan
        lacks=lacking("trust", "link_state"),  # qlcnic_netdev_ops
    ),
}
VARIANTS = {
    # be_set_vf_spoofchk: not on BE2 and BE3 (BE_DEVICE_ID1, BE_DEVICE_ID2, OC_DEVICE_ID1, OC_DEVICE_ID2)
    **{
        ("be2net", device): replace(_BE2NET, hardware="Emulex BE2, BE3", lacks={**_BE2NET.lacks, "spoofchk": NO})
        for device in ("0211", "0221", "0700", "0710")
    },
    # be_set_vf_tx_rate: Skyhawk takes whole hundredths of the link's speed
    ("be2net", "0720"): replace(
        _BE2NET,
        hardware="Emulex Skyhawk",
        max_rate=replace(_BE2NET.max_rate, link_parts=100, off_step="refused"),
    ),
}
