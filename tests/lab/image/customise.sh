#!/bin/sh
# Runs as the last hook of mmdebstrap on the tree of the lab's Debian: finishes the system, and leaves in
# /lab-out the disk, and the programs that the host runs from the image (QEMU, Python).
set -eu
# The folder that the build was started in may not be open to this user.
cd /
root=$1
release=$(cd "$root/lib/modules" && echo *)
[ -d "$root/lib/modules/$release" ] || { echo "customise.sh: want exactly one kernel, have: $release" >&2; exit 1; }

# Who may log in, and a host key that the host knows already.
rm -f "$root"/etc/ssh/ssh_host_*
install -m 600 "$root/lab-in/host-key" "$root/etc/ssh/ssh_host_ed25519_key"
install -m 644 "$root/lab-in/host-key.pub" "$root/etc/ssh/ssh_host_ed25519_key.pub"
install -d -m 700 "$root/root/.ssh"
install -m 600 "$root/lab-in/key.pub" "$root/root/.ssh/authorized_keys"

# Identity and boot. An empty machine-id would make each first boot a "first boot".
echo lab >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 lab\n' >"$root/etc/hosts"
echo '/dev/vda1 / ext4 rw,noatime 0 0' >"$root/etc/fstab"
chroot "$root" systemd-machine-id-setup
chroot "$root" systemctl enable systemd-networkd.service ssh.service
# Nothing may become busy by itself: the clock jumps by days when a snapshot is restored, and each of these
# would start then. libvirt-guests would wait minutes at a reboot for guests that know no power button.
chroot "$root" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    fstrim.timer logrotate.timer man-db.timer systemd-tmpfiles-clean.timer systemd-networkd-wait-online.service \
    e2scrub_reap.service libvirt-guests.service keyboard-setup.service console-setup.service \
    getty@tty1.service serial-getty@ttyS0.service systemd-timesyncd.service
rm -f "$root/etc/libvirt/qemu/networks/default.xml" "$root/etc/libvirt/qemu/networks/autostart/default.xml"

# The guests' kernel and initramfs: a busybox, the modules that a guest's cards want and that aren't built in, and two
# programs of Debian with their libraries.
guest=$root/var/lib/lab/guest
mkdir -p "$guest"
cp "$root/boot/vmlinuz-$release" "$guest/vmlinuz"
tree=$(mktemp -d)
chmod 755 "$tree"
mkdir -p "$tree/bin" "$tree/etc" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/run" "$tree/lib/modules/$release" "$tree/lib64"
ln -s bin "$tree/sbin"
cp "$root/bin/busybox" "$tree/bin/busybox"
install -m 755 "$root/lab-in/guest-init" "$tree/init"
printf 'ID=lab\nNAME="Guest of the lab"\nPRETTY_NAME="Guest of the lab"\n' >"$tree/etc/os-release"
chroot "$root" modprobe --set-version "$release" --show-depends --all igbvf virtio_net virtio_console bridge |
    awk '$1 == "insmod" { print $2 }' | sort -u >"$root/lab-modules"
while read -r module; do
    xz --decompress --stdout "$root$module" >"$tree/lib/modules/$release/$(basename "$module" .xz)"
done <"$root/lab-modules"
cp "$root/usr/sbin/qemu-ga" "$root/usr/sbin/irqbalance" "$tree/bin/"
chroot "$root" ldd /usr/sbin/qemu-ga /usr/sbin/irqbalance |
    awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u >"$root/lab-libraries"
while read -r library; do
    cp -L "$root$library" "$tree/lib/"
done <"$root/lab-libraries"
cp -L "$root/lib64/ld-linux-x86-64.so.2" "$tree/lib64/"
rm "$root/lab-modules" "$root/lab-libraries"
mv "$tree" "$root/lab-tree"
chroot "$root" depmod --basedir /lab-tree "$release"
chroot "$root" sh -eu -c 'cd /lab-tree && find . | cpio --quiet --create --format=newc --owner=0:0 | gzip -1 \
    >/var/lib/lab/guest/initrd'
chmod 644 "$guest/vmlinuz" "$guest/initrd"
rm -rf "$root/lab-tree" "$root/lab-in" "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*

# What the host runs from the image: the image's own QEMU (a host's may be too old to know igb) and the image's
# own Python (byte-compiling here takes a tenth of the time that it takes in the lab), with their libraries.
out=$(mktemp -d)
chmod 755 "$out"
mkdir -p "$out/lib" "$out/bin" "$out/share" "$out/python/lib"
chroot "$root" sh -eu -c 'ldd /usr/bin/qemu-system-x86_64 /usr/bin/qemu-img /usr/bin/python3 \
    /usr/lib/python3.*/lib-dynload/*.so' |
    awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u >"$out/libraries"
while read -r library; do
    cp -L "$root$library" "$out/lib/"
done <"$out/libraries"
cp -L "$root/lib64/ld-linux-x86-64.so.2" "$out/lib/"
cp -L "$root/usr/bin/qemu-system-x86_64" "$root/usr/bin/qemu-img" "$root/usr/bin/python3" "$out/bin/"
cp -rL "$root/usr/share/qemu" "$out/share/qemu"
cp -rL "$root/usr/share/seabios" "$out/share/seabios"
cp -r "$root"/usr/lib/python3.* "$out/python/lib/"
find "$out/python" -type l -delete
chmod -R u+rwX,go+rX "$out"
echo "$release" >"$out/kernel-release"

# The boot loader, as grub-install would put it there, which wants a real disk to look at: its modules, and its core,
# which goes to the gap before the partition and says what goes wrong on the serial port. This grub.cfg is for the first
# boot only; preparing the lab has update-grub make the real one, out of the same arguments.
grub=$root/boot/grub/i386-pc
mkdir -p "$grub"
cp "$root"/usr/lib/grub/i386-pc/*.mod "$root"/usr/lib/grub/i386-pc/*.lst "$root/usr/lib/grub/i386-pc/boot.img" "$grub/"
printf 'serial\nterminal_output serial\n' >"$root/lab-early.cfg"
chroot "$root" grub-mkimage --format=i386-pc --output=/boot/grub/i386-pc/core.img '--prefix=(hd0,msdos1)/boot/grub' \
    --config=/lab-early.cfg biosdisk part_msdos ext2 normal linux serial terminal
rm "$root/lab-early.cfg"
# shellcheck source=rootfs/etc/default/grub
. "$root/etc/default/grub"
cat >"$root/boot/grub/grub.cfg" <<END
linux /boot/vmlinuz-$release root=/dev/vda1 $GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT
initrd /boot/initrd.img-$release
boot
END

# The disk: one partition from 1 MiB on, and GRUB before it. A bind mount shows the tree without what mmdebstrap has
# mounted into it.
bare=$(mktemp -d)
mount --bind "$root" "$bare"
truncate -s 4097M "$out/disk.raw"
mke2fs -q -t ext4 -L lab -E offset=1048576,lazy_itable_init=0 -d "$bare" "$out/disk.raw" 4G
write() { dd of="$out/disk.raw" conv=notrunc status=none "$@"; }
write if="$grub/boot.img"
write if="$grub/core.img" seek=1
# The partition table: bootable, Linux, 4 GiB from sector 2048 on; and three empty entries, where boot.img has code.
{ printf '\200\376\377\377\203\376\377\377\000\010\000\000\000\000\200\000'; head -c 48 /dev/zero; } |
    write bs=1 seek=446
umount "$bare"
rmdir "$bare"
mv "$out" "$root/lab-out"
chroot "$root" qemu-img convert -O qcow2 /lab-out/disk.raw /lab-out/disk.qcow2
rm "$root/lab-out/disk.raw"
