"""What an Axis product is made of, and the products of the simulated fleet. Versions, dates and hardware numbers are of our own making."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from simulator.axis.generation import G5_51, G8_45, G9_80, G10_12, G11_11, G12, G_MODULE, Generation


class Kind(StrEnum):
    CAMERA = "camera"
    SPEAKER = "speaker"
    IO_MODULE = "io_module"
    INTERCOM = "intercom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A temperature sensor: what it shows at rest, and the limits the device has for it, all in °C."""

    name: str
    base: float
    high: int = 80
    low: int = -40


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Product:
    """One product with one firmware. `sd_card`: size of the card in it in kB, 0 for an empty slot, None where it has no slot.

    `first_sensor`: the number SNMP gives the first sensor; it need not be 1. `storage_names`: some products leave the name column out.
    """

    number: str
    type: str
    kind: Kind
    generation: Generation
    firmware: str
    build_date: str
    hardware: str
    variant: str = ""
    soc: str = "Axis Artpec-8"
    architecture: str = "aarch64"
    sensors: tuple[Sensor, ...] = ()
    fans: int = 0
    heaters: int = 0
    sd_card: int | None = 0
    infrared: bool = False
    ports: int = 0
    power_meter: bool = False
    first_sensor: int = 1
    storage_names: bool = True
    casing: str = ""

    @property
    def short_name(self) -> str:
        return f"AXIS {self.number}"

    @property
    def full_name(self) -> str:
        return f"AXIS {self.number} {self.type}"

    @property
    def video(self) -> bool:
        return self.kind in {Kind.CAMERA, Kind.INTERCOM}

    def has(self, api: str) -> bool:
        """Whether this product's firmware has the API; some need the hardware too."""
        if api == "light-control" and not self.infrared:
            return False
        if api == "power-settings" and not self.power_meter:
            return False
        if api == "io-port-management" and not self.ports:
            return False
        if api == "temperaturecontrol" and not self.sensors:
            return False
        return api in self.generation.apis


_DOME_SENSORS = (
    Sensor(name="Main", base=41.5),
    Sensor(name="CPU", base=52.0),
    Sensor(name="LensTemp", base=36.5, low=-30),
    Sensor(name="ImageSensor", base=44.0, high=85, low=-30),
)

DOME_11 = Product(
    number="P3265-LVE",
    type="Dome Camera",
    kind=Kind.CAMERA,
    generation=G11_11,
    firmware="11.11.181",
    build_date="Nov 03 2025 09:12",
    hardware="9A6.1",
    variant="22 mm",
    sensors=(*_DOME_SENSORS, Sensor(name="HeaterTemp", base=33.0, high=85)),
    heaters=1,
    sd_card=62_333_952,
    infrared=True,
)
PTZ_12 = Product(
    number="Q6318-LE",
    type="PTZ Network Camera",
    kind=Kind.CAMERA,
    generation=G12,
    firmware="12.9.41",
    build_date="Aug 27 2026 14:30",
    hardware="A21",
    sensors=(*_DOME_SENSORS, Sensor(name="Optics", base=38.0, high=75, low=-50)),
    fans=2,
    heaters=2,
    sd_card=0,
    infrared=True,
    ports=1,
    power_meter=True,
    first_sensor=3,
    storage_names=False,
)
LEGACY_CAMERA = Product(
    number="P5534",
    type="PTZ Dome Network Camera",
    kind=Kind.CAMERA,
    generation=G5_51,
    firmware="5.51.4",
    build_date="Sep 02 2016 10:47",
    hardware="17F",
    soc="Axis Artpec-3",
    architecture="crisv32",
    sd_card=15_558_144,
    ports=4,
)
SPEAKER = Product(
    number="C1310-E",
    type="Network Speaker",
    kind=Kind.SPEAKER,
    generation=G11_11,
    firmware="11.11.181",
    build_date="Nov 03 2025 11:50",
    hardware="8F1",
    soc="NXP i.MX8MN",
    sensors=(Sensor(name="Main", base=35.0), Sensor(name="CPU", base=47.0, high=105)),
    sd_card=None,
)
STROBE_SPEAKER = Product(
    number="D4200-VE",
    type="Network Strobe Speaker",
    kind=Kind.SPEAKER,
    generation=G12,
    firmware="12.9.41",
    build_date="Aug 27 2026 15:02",
    hardware="9D4",
    soc="i.MX8MN",
    sensors=(Sensor(name="MCU", base=39.0, high=105), Sensor(name="CPU", base=50.0, high=105), Sensor(name="Main", base=37.0)),
    sd_card=0,
    ports=2,
    power_meter=True,
)
IO_MODULE = Product(
    number="A9188",
    type="Network I/O Relay Module",
    kind=Kind.IO_MODULE,
    generation=G_MODULE,
    firmware="1.84.1",
    build_date="Feb 11 2020 10:05",
    hardware="731.2",
    soc="Axis Artpec-5",
    architecture="mips",
    sd_card=None,
    ports=8,
)
INTERCOM = Product(
    number="A8207-VE",
    type="Network Video Intercom",
    kind=Kind.INTERCOM,
    generation=G10_12,
    firmware="10.12.290",
    build_date="Oct 14 2025 08:21",
    hardware="7B4",
    soc="Ambarella S3L",
    architecture="armv7hf",
    sensors=(Sensor(name="Main", base=38.5), Sensor(name="Image Sensor", base=42.0, high=85, low=-30)),
    heaters=1,
    sd_card=31_154_688,
    ports=4,
    casing="NetworkVideoIntercom",
)
BOX_9 = Product(
    number="P1375",
    type="Network Camera",
    kind=Kind.CAMERA,
    generation=G9_80,
    firmware="9.80.92",
    build_date="Feb 12 2025 16:09",
    hardware="78B",
    soc="Axis Artpec-7",
    architecture="armv7hf",
    sensors=_DOME_SENSORS,
    sd_card=0,
    ports=2,
)
BODY_8 = Product(
    number="V5914",
    type="PTZ Network Camera",
    kind=Kind.CAMERA,
    generation=G8_45,
    firmware="8.45.3.3",
    build_date="Jun 18 2024 13:55",
    hardware="1E9.1",
    soc="Axis Artpec-5",
    architecture="mips",
    sd_card=0,
    ports=4,
)
DOME_10 = Product(
    number="M3085-V",
    type="Network Camera",
    kind=Kind.CAMERA,
    generation=G10_12,
    firmware="10.12.290",
    build_date="Oct 14 2025 07:40",
    hardware="8D2",
    soc="Ambarella S5L",
    sensors=_DOME_SENSORS[:2],
    sd_card=0,
)

PRODUCTS = {product.number: product for product in (DOME_11, PTZ_12, LEGACY_CAMERA, SPEAKER, STROBE_SPEAKER, IO_MODULE, INTERCOM, BOX_9, BODY_8, DOME_10)}
