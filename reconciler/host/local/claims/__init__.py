"""What files of other tools say of this host's PFs and their VFs: one module per tool's own language."""
