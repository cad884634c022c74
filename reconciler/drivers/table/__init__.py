"""What is known of each driver, with its source beside it, by maker. An unknown driver gets the careful values of
`UNKNOWN`.

The table is that of Linux 6.12. In 6.1, ixgbe_ndo_get_vf_config doesn't report the link state, so that ``disable``
never reads back; and bnxt_set_vf_vlan refuses every priority (EINVAL) and 802.1ad. There an apply stops and says so.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from reconciler.drivers.facts import DriverFacts, VfCount
from reconciler.drivers.table import broadcom, intel, mellanox, others
from reconciler.drivers.table.common import RESET_ALL

UNKNOWN = DriverFacts(
    known=False, counts=None, count=VfCount(bounces_pf=True, one_pf_at_a_time=True), resets_vf=RESET_ALL
)

DRIVERS: dict[str, DriverFacts] = {**intel.DRIVERS, **mellanox.DRIVERS, **broadcom.DRIVERS, **others.DRIVERS}
"""By the name that the kernel gives a PF's driver."""

VARIANTS: dict[tuple[str, str], DriverFacts] = {**intel.VARIANTS, **broadcom.VARIANTS}
"""Cards that differ from the rest of their driver, by driver and PCI device id of the PF."""


def vf_driver_modules() -> frozenset[str]:
    """Names of the modules that drive VFs, with ``_`` for ``-``; of a driver that serves PFs and VFs there is none."""
    names = {known.vf_driver.replace("-", "_") for known in (*DRIVERS.values(), *VARIANTS.values())}
    return frozenset(names - {"kernel"})


@lru_cache(maxsize=64)
def facts(driver: str | None, device_id: str | None = None) -> DriverFacts:
    """The facts of a driver by its kernel name, and of a card by its PCI device id (four hex digits) where cards of
    one driver differ; careful ones for a driver that isn't in the table."""
    if driver is None:
        return UNKNOWN
    known = VARIANTS.get((driver, device_id or "")) or DRIVERS.get(driver)
    return known if known is not None else replace(UNKNOWN, name=driver)
