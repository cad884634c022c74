"""How to make another tool leave a card alone."""

from __future__ import annotations

from reconciler.host.platform import OwnerName

HOW_TO_STOP: dict[OwnerName, str] = {
    "NetworkManager": "Remove sriov-* from the profile (`nmcli connection modify NAME remove sriov`).",
    "systemd-networkd": "Remove the [SR-IOV] sections and SR-IOVVirtualFunctions= there, then `networkctl reload`.",
    "netplan": "Remove virtual-function-count and link: there, then `netplan generate`.",
    "sriov-network-operator": "Leave the node to the operator, or take it out of its policies' nodeSelector.",
    "os-net-config": "Remove the sriov_pf and sriov_vf entries there.",
}
OTHERWISE = "Remove the line, or comment it out."
