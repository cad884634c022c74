"""The only door to a machine: what is observed of it, and the reader and writer protocols."""
