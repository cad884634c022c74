"""``pf.NAME.vf.N``: a virtual function: its driver while no guest has it, and its attributes."""
