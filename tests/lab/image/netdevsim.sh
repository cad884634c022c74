#!/bin/sh
# Runs as a hook of mmdebstrap on a throw-away tree with the kernel's headers and source: builds netdevsim,
# which Debian leaves out of its kernel, and leaves it in the tree as /out/netdevsim.ko.
set -eu
# The folder that the build was started in may not be open to this user.
cd /
root=$1
headers=$(cd "$root/usr/src" && echo linux-headers-*-amd64)
[ -d "$root/usr/src/$headers" ] || { echo "netdevsim.sh: want exactly one linux-headers, have: $headers" >&2; exit 1; }
chroot "$root" sh -eu -c '
    mkdir /build
    source=$(ls /usr/src/linux-source-*.tar.xz)
    tree=$(basename "$source" .tar.xz)
    tar --extract --xz --file "$source" --directory /build "$tree/drivers/net/netdevsim"
    make --no-print-directory -C "/usr/src/$1" M="/build/$tree/drivers/net/netdevsim" CONFIG_NETDEVSIM=m modules
    mkdir /out
    strip --strip-debug -o /out/netdevsim.ko "/build/$tree/drivers/net/netdevsim/netdevsim.ko"
' sh "$headers"
