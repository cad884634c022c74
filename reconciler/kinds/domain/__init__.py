"""``domain.D``: what the file declares of a guest itself: spare PCIe root ports."""
