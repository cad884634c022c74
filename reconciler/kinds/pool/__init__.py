"""``pool.NAME``: a libvirt network with forward mode hostdev, out of which guests are given VFs."""
