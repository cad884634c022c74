"""The machine that the tool runs on: sysfs, rtnetlink, /proc, modprobe.d and libvirt."""
