"""Opens a VF through VFIO as a process that is no guest would (DPDK), and keeps it until it is killed.

python3 hold_vf.py 0000:01:10.2
"""

import array
import fcntl
import os
import sys
import time

FIRST = 0x3B64
"""_IO(';', 100): VFIO's first ioctl (include/uapi/linux/vfio.h)."""
SET_IOMMU, SET_CONTAINER, GET_DEVICE_FD = FIRST + 2, FIRST + 4, FIRST + 6
TYPE1V2 = 3

address = sys.argv[1]
number = os.path.basename(os.readlink(f"/sys/bus/pci/devices/{address}/iommu_group"))
container = os.open("/dev/vfio/vfio", os.O_RDWR)
group = os.open(f"/dev/vfio/{number}", os.O_RDWR)
fcntl.ioctl(group, SET_CONTAINER, array.array("i", [container]))
fcntl.ioctl(container, SET_IOMMU, TYPE1V2)
fcntl.ioctl(group, GET_DEVICE_FD, address.encode() + b"\0")
print("held", flush=True)
time.sleep(1000)
