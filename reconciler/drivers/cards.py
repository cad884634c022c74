"""Marketing names of cards by PCI ids, as in the public list of PCI ids."""

from __future__ import annotations

_IDS: dict[str, dict[str, str]] = {
    "8086": {
        "Intel X520 (82599)": "10f7 10f8 10f9 10fb 10fc 151c 1507 1514 1517 152a 1529 154a 154d 1557 1558",
        "Intel X540": "1528 1560",
        "Intel X550": "1563 15d1",
        "Intel X552": "15ab 15ac 15ad 15ae 15b0",
        "Intel X553": "15c2 15c3 15c4 15c6 15c7 15c8 15ce 15e4 15e5",
        "Intel X710": "1572 1581 1585 1586 1589 15ff 104e 104f",
        "Intel XL710": "1580 1583 1584 1587 1588",
        "Intel XXV710": "158a 158b",
        "Intel X722": "37cc 37ce 37cf 37d0 37d1 37d2 37d3",
        "Intel E810-C": "1591 1592 1593",
        "Intel E810-XXV": "1599 159a 159b",
        "Intel 82576": "10c9 10e6 10e7 10e8 150a 150d 1518 1526",
        "Intel I350": "1521 1522 1523 1524",
    },
    "15b3": {
        "Mellanox ConnectX-3": "1003",
        "Mellanox ConnectX-3 Pro": "1007",
        "Mellanox ConnectX-4": "1013",
        "Mellanox ConnectX-4 Lx": "1015",
        "Mellanox ConnectX-5": "1017",
        "Mellanox ConnectX-5 Ex": "1019",
        "NVIDIA ConnectX-6": "101b",
        "NVIDIA ConnectX-6 Dx": "101d",
        "NVIDIA ConnectX-6 Lx": "101f",
        "NVIDIA ConnectX-7": "1021",
        "NVIDIA ConnectX-8": "1023",
        "NVIDIA BlueField": "a2d2",
        "NVIDIA BlueField-2": "a2d6",
        "NVIDIA BlueField-3": "a2dc",
    },
    "14e4": {
        "Broadcom BCM57412": "16d6",
        "Broadcom BCM57414": "16d7",
        "Broadcom BCM57416": "16d8",
        "Broadcom BCM57417": "16d9",
        "Broadcom BCM57508": "1750",
        "Broadcom BCM57504": "1751",
        "Broadcom BCM57502": "1752",
        "Broadcom BCM57608": "1760",
        "Broadcom BCM57604": "1761",
        "Broadcom BCM57602": "1762",
        "Broadcom BCM57601": "1763",
        "QLogic 57800": "168a",
        "QLogic 57810": "168e",
        "QLogic 57840": "168d 16a1",
    },
    "19a2": {"Emulex BE2": "0211 0700", "Emulex BE3": "0221 0710"},
    "10df": {"Emulex Lancer": "e220 e228", "Emulex Skyhawk": "0720"},
    "1137": {"Cisco VIC": "0043"},
    "1dd8": {"AMD Pensando DSC": "1002"},
    "177d": {"Marvell OcteonTX2": "a063"},
    "19ee": {"Netronome Agilio NFP-4000": "4000", "Netronome Agilio NFP-6000": "6000"},
    "19e5": {"Huawei Hi1822": "1822 0200 0205 0210 0211"},
    "1077": {"QLogic FastLinQ QL45xxx": "1634 1644 1654 1656 1666", "QLogic FastLinQ QL41xxx": "8070"},
    "1924": {"Solarflare SFC9120": "0903", "Solarflare SFC9140": "0923", "Solarflare SFC9220": "0a03"}
    | {"Solarflare SFC9250": "0b03"},
}
_CARDS = {
    (vendor, device): name for vendor, cards in _IDS.items() for name, ids in cards.items() for device in ids.split()
}


def card_name(vendor: str | None, device: str | None) -> str | None:
    """``Intel X520 (82599)`` for a PF's PCI vendor and device id (four hex digits each, lower case, without 0x);
    ``None`` when the card isn't known."""
    return _CARDS.get((vendor or "", device or ""))
