"""``hugepages.SIZE``: how many, now and at boot."""
