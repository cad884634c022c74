"""``pf.NAME``: a physical function: its link, its MTU, how many VFs it has, who takes new VFs."""
