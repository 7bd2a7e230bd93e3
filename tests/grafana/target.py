"""What the tests of the dashboard need: a metrics page that can be scraped, with a fault that can be switched on."""

from __future__ import annotations

from typing import Protocol


class MetricsTarget(Protocol):
    """Where the page is, a device that can be broken, and a way to break and to mend it.

    Broken means: a confirmed critical fault with an open ticket. All the time a part of some polls fails, and so does a delivery.
    """

    @property
    def address(self) -> str:
        """host:port of `/metrics`."""

    @property
    def device(self) -> str:
        """Id of the device that breaks."""

    async def break_it(self) -> None: ...

    async def mend_it(self) -> None: ...
