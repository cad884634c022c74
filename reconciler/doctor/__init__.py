"""Can this host do SR-IOV, and can it do what a state file asks of it? Pure checks on what was observed."""
