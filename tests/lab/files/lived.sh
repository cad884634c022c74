# A host that people have worked on by hand: VFs with attributes, a guest with a NIC, a pool that runs, and a network
# that nobody has defined.
set -eu
# Once started anew, libvirtd shows a running guest's XML without an alias that it had given itself.
systemctl restart libvirtd.service
for card in enp1s0 enp2s0; do
    echo 0 >/sys/class/net/$card/device/sriov_drivers_autoprobe
    echo 4 >/sys/class/net/$card/device/sriov_numvfs
    ip link set $card up
done
ip link set enp1s0 vf 0 mac 52:54:00:6d:95:00
ip link set enp1s0 vf 0 vlan 7 qos 2
ip link set enp1s0 vf 1 spoofchk off
ip link set enp1s0 vf 1 trust on
until ip link set enp1s0 vf 0 max_tx_rate 70 2>/dev/null; do sleep 0.2; done

cat >nic.xml <<END
<interface type='hostdev' managed='yes'>
  <mac address='52:54:00:6d:95:02'/>
  <source><address type='pci' domain='0x0000' bus='0x01' slot='0x10' function='0x4'/></source>
  <vlan><tag id='7'/></vlan>
</interface>
END
virsh attach-device web1 nic.xml --live --config

network() {
    echo "<network><name>$1</name><forward mode='hostdev' managed='yes'>"
    shift
    for function; do
        echo "<address type='pci' domain='0x0000' bus='0x02' slot='0x10' function='0x$function'/>"
    done
    echo "</forward></network>"
}
network lasting 0 2 >lasting.xml
virsh net-define lasting.xml
virsh net-start lasting
virsh net-autostart lasting
network borrowed 6 >borrowed.xml
virsh net-create borrowed.xml
