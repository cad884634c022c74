"""A simulated host: kernel, drivers, udev and libvirt as they behave, kept in memory or in a file."""
