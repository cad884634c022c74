"""All other drivers: function names in Linux 6.12, ``drivers/net/ethernet`` unless said otherwise."""

from __future__ import annotations

import errno

from reconciler.drivers.facts import DROPS, PLAIN, RX_TX, DriverFacts, Rate, VfCount
from reconciler.drivers.table.common import NO_QUERY, ONLY_Q, lacking, no_qos, without

_EVERYTHING = tuple(PLAIN)

DRIVERS = {
    # cisco/enic: no ndo_get_vf_config, so nothing reads back; all VFs are made at probe (enic_probe)
    "enic": DriverFacts(
        name="enic",
        hardware="Cisco VIC",
        vf_driver="enic",
        lacks=lacking(*without(PLAIN, ("mac",))),  # enic_netdev_ops: the rest goes through port profiles
        unreported=frozenset({"mac"}),
        count=VfCount(error=errno.ENOENT, writable=False, how="set it in the vNIC's policy, in CIMC or UCS Manager"),
        fresh={},
        survives=frozenset({"mac"}),
    ),
    # chelsio/cxgb4/cxgb4_main.c, cxgb4_mgmt_netdev_ops: VFs live on functions 0 to 3
    "cxgb4": DriverFacts(
        name="cxgb4",
        hardware="Chelsio T4, T5, T6",
        vf_driver="cxgb4vf",
        max_rate=Rate(within_link=True, link="rate"),  # cxgb4_mgmt_set_vf_rate; min_tx_rate must be 0
        refuses=no_qos(errno.EPROTONOSUPPORT),  # cxgb4_mgmt_set_vf_vlan
        lacks=lacking("spoofchk", "trust"),
        zero_mac="refused",  # cxgb4_mgmt_set_vf_mac
        fresh=without(PLAIN, ("mac", "spoofchk", "trust")),  # cxgb4_mgmt_fill_vf_station_mac_addr makes one up
    ),
    # sfc/efx.c, sfc/ef10_sriov.c
    "sfc": DriverFacts(
        name="sfc",
        hardware="Solarflare SFN7xxx, SFN8xxx, X2 (EF10)",
        vf_driver="sfc",
        refuses=no_qos(),  # efx_ef10_sriov_set_vf_vlan
        lacks=lacking("min_tx_rate", "max_tx_rate", "trust"),  # efx_netdev_ops
        unreported=frozenset({"spoofchk"}),  # efx_ef10_sriov_get_vf_config doesn't fill it
        fresh=without(PLAIN, ("mac", "spoofchk", "trust")),  # a random MAC each time
        # efx_ef10_sriov_set_vf_mac, efx_ef10_sriov_set_vf_vlan: the VF's vport can't be reassigned while the guest's
        # driver is loaded ("unload the driver in the VM"); the number is the firmware's, EBUSY is assumed
        fixed_while_held=frozenset({"mac", "vlan", "qos", "vlan_proto"}),
    ),
    # sfc/ef100_netdev.c: no VF operation at all; representors and devlink do it
    "sfc_ef100": DriverFacts(
        name="sfc_ef100",
        hardware="Xilinx Alveo (EF100)",
        vf_driver="sfc_ef100",
        lacks=lacking(*_EVERYTHING),
        fresh={},
    ),
    # netronome/nfp/nfp_net_sriov.c
    "nfp": DriverFacts(
        name="nfp",
        hardware="Netronome Agilio",
        vf_driver="nfp",
        max_rate=Rate(highest=65534),  # nfp_app_set_vf_rate
        min_rate=Rate(highest=65534),
        # NFP_NET_VF_CFG_MB_CAP_*: every one of them
        firmware=frozenset({"802.1ad", "mac", "vlan", "qos", "max_tx_rate", "min_tx_rate"})
        | {"spoofchk", "trust", "link_state"},
        lacks=NO_QUERY,
        count=VfCount(error=errno.ERANGE),  # nfd_vf_cfg_max_vfs, set as sriov_totalvfs
        reload_for_mac=True,  # nfp_app_set_vf_mac says so
    ),
    # drivers/net/netdevsim: vfconfigs are allocated at probe and survive 0 to N
    "netdevsim": DriverFacts(
        name="netdevsim",
        hardware="the kernel's simulated device",
        min_rate=Rate(),  # nsim_set_vf_rate
        count=VfCount(error=errno.ENOMEM),  # nsim_drv_configure_vfs
        mtu_bounces_pf=False,
        survives=frozenset([*PLAIN, "query_rss"]),
    ),
    # drivers/virtio/virtio_pci_common.c, virtio_pci_sriov_configure
    "virtio-pci": DriverFacts(
        name="virtio-pci",
        hardware="virtio cards with VIRTIO_F_SR_IOV",
        vf_driver="virtio_pci",
        lacks=lacking(*_EVERYTHING),  # virtnet_netdev has no VF operation
        fresh={},
    ),
    # marvell/octeontx2/nic/otx2_pf.c
    "rvu_nicpf": DriverFacts(
        name="rvu_nicpf",
        hardware="Marvell OcteonTX2, CN10K",
        vf_driver="rvu_nicvf",
        refuses=no_qos(),  # otx2_set_vf_vlan
        lacks=lacking("min_tx_rate", "max_tx_rate", "spoofchk", "link_state"),  # otx2_netdev_ops
        zero_mac="refused",  # otx2_set_vf_mac
        needs_up=True,  # otx2_set_vf_mac, otx2_set_vf_vlan: EAGAIN while the interface is down
        fresh=without(PLAIN, ("spoofchk",)),
        survives=frozenset({"mac", "vlan", "trust"}),  # vf_configs is not cleared in otx2_sriov_disable
        reload_for_mac=True,
    ),
    # pensando/ionic/ionic_lif.c
    "ionic": DriverFacts(
        name="ionic",
        hardware="AMD Pensando DSC",
        vf_driver="ionic",
        counts=RX_TX | DROPS,  # ionic_get_vf_stats
        refuses=ONLY_Q,  # ionic_set_vf_vlan
        lacks=NO_QUERY,
    ),
    # huawei/hinic/hinic_sriov.c
    "hinic": DriverFacts(
        name="hinic",
        hardware="Huawei Hi1822",
        vf_driver="hinic",
        # hinic_ndo_set_vf_bw: up to the port's speed, and EPERM without a link
        max_rate=Rate(within_link=True, link="any", link_error=errno.EPERM),
        min_rate=Rate(within_link=True),
        refuses=ONLY_Q,  # hinic_ndo_set_vf_vlan
        lacks=NO_QUERY,
    ),
}
