"""``modules.blacklist``: VF drivers that the host must not load."""
