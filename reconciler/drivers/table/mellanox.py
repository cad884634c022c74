"""Mellanox's and NVIDIA's drivers: function names in Linux 6.12, ``drivers/net/ethernet/mellanox``."""

from __future__ import annotations

import errno

from reconciler.drivers.facts import DROPS, PLAIN, RX_TX, DriverFacts, Rate, VfCount
from reconciler.drivers.table.common import NO_QUERY, ONLY_Q, lacking, without

DRIVERS = {
    "mlx5_core": DriverFacts(
        name="mlx5_core",
        hardware="NVIDIA ConnectX-4 to ConnectX-7, BlueField",
        vf_driver="mlx5_core",
        queues="as many as its MSI-X vectors, which can be resized",  # mlx5_core_sriov_set_msix_vec_count
        min_rate=Rate(),  # mlx5_esw_qos_set_vport_rate: no bound of the driver's, a share of the link
        # esw_rate_limit and esw_bw_share of the QoS capabilities; the rest is EOPNOTSUPP in switchdev mode
        # (mlx5_eswitch_set_vport_{vlan,spoofchk,trust,state}: MLX5_ESWITCH_LEGACY)
        firmware=frozenset({"max_tx_rate", "min_tx_rate", "vlan", "spoofchk", "trust", "link_state"}),
        counts=RX_TX | DROPS,  # mlx5_eswitch_get_vport_stats; drops only in legacy mode
        refuses=ONLY_Q,  # mlx5e_set_vf_vlan
        lacks=NO_QUERY,  # mlx5e_netdev_ops
        # The firmware's NUM_OF_VFS is what sriov_totalvfs says.
        fresh=PLAIN,  # mlx5_eswitch_clear_vf_vports_info
    ),
    # IPoIB on an mlx5 card: drivers/infiniband/ulp/ipoib/ipoib_main.c, ipoib_netdev_ops_pf. The MAC that it reports is
    # the PF's own.
    "ib_ipoib": DriverFacts(
        name="ib_ipoib",
        hardware="InfiniBand ports of ConnectX cards",
        vf_driver="mlx5_core",
        lacks=lacking("mac", "vlan", "qos", "vlan_proto", "spoofchk", "trust", "min_tx_rate", "max_tx_rate"),
        unreported=frozenset({"mac"}),
        counts=None,  # ipoib_get_vf_stats asks the HCA's driver, of which not all can
        fresh={"link_state": "auto"},
    ),
    "mlx4_core": DriverFacts(
        name="mlx4_core",
        hardware="Mellanox ConnectX-3",
        vf_driver="mlx4_core",
        # mlx4_set_vf_rate: the firmware's QOS_VPP capability; min_tx_rate must be 0
        max_rate=Rate(error=errno.EPROTONOSUPPORT),
        rate_reads_with_vlan_qos=True,  # mlx4_get_vf_config: only in VST with a priority that has QoS
        firmware=frozenset({"max_tx_rate", "spoofchk", "802.1ad", "vlan"}),
        lacks={**NO_QUERY, "trust": errno.EOPNOTSUPP, "min_tx_rate": errno.EPROTONOSUPPORT},  # mlx4_netdev_ops
        counts=RX_TX,  # mlx4_get_vf_stats
        zero_mac="refused-with-spoofchk",  # mlx4_set_vf_mac
        spoofchk_needs_mac=True,  # mlx4_set_vf_spoofchk
        reload_for_mac=True,  # mlx4_set_vf_mac: "will take effect only after vf restart"
        # mlx4_driver has no sriov_configure (main.c)
        count=VfCount(
            limit=126,
            error=errno.ENOENT,
            writable=False,
            how="load mlx4_core with the options num_vfs and probe_vf, in a file below modprobe.d",
        ),
        fresh=without(PLAIN, ("mac", "trust")),
        survives=frozenset(PLAIN),  # mlx4_multi_func_init: as long as the PF's driver
    ),
}
