"""``domain.D.nic.KEY``: a guest's NIC on a VF, by ``<interface type='hostdev'>``, ``<hostdev>`` or a pool."""
