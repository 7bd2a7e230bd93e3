"""What an Axis product is made of, and the products of the simulated fleet. Versions, dates and hardware numbers are of our own making."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from simulator.axis.generation import G5_40, G5_51, G8_45, G9_80, G10_12, G11_11, G12, G13, G_MODULE, G_SPEAKER, Generation


class Kind(StrEnum):
    CAMERA = "camera"
    SPEAKER = "speaker"
    IO_MODULE = "io_module"
    INTERCOM = "intercom"
    ENCODER = "encoder"
    RECORDER = "recorder"
    SENSOR = "sensor"
    STROBE = "strobe"


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

    `share`: size in kB of the network share that is set up, 0 for none. `hard_disks`: sizes of the disks that are built in.
    `first_sensor`: the number SNMP gives the first sensor; it need not be 1. `storage_names`: some products leave the name column out.
    `poe_class`: what the switch grants, -1 where the device does not know it. `apps`: names out of `simulator.axis.applications`.
    `mqtt`: its client is set up and connected. `video_inputs`, `audio_inputs`: signals of others that it takes in.
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
    share: int = 0
    hard_disks: tuple[int, ...] = ()
    poe_class: int = -1
    supplies: int = 0
    video_inputs: int = 0
    audio_inputs: int = 0
    ptz: bool = False
    mqtt: bool = False
    siren: bool = False
    supervised: bool = False
    apps: tuple[str, ...] = ()

    @property
    def short_name(self) -> str:
        return f"AXIS {self.number}"

    @property
    def full_name(self) -> str:
        return f"AXIS {self.number} {self.type}"

    @property
    def video(self) -> bool:
        return self.kind in {Kind.CAMERA, Kind.INTERCOM, Kind.ENCODER}

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
        if api == "siren-and-light" and not self.siren:
            return False
        if api == "sip" and self.kind is not Kind.INTERCOM:
            return False
        if api == "speakertest" and self.kind is not Kind.SPEAKER:
            return False
        if api == "streamstatus" and not self.video:
            return False
        if api == "supervised-io" and not self.supervised:
            return False
        return api in self.generation.apis

    def rest(self, name: str) -> str:
        """The path of a Device Configuration interface, '' where this product has none of that name."""
        return "" if name == "siren-and-light" and not self.siren else self.generation.rest_path(name)


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
    apps=("vmd", "loiteringguard"),
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
    ptz=True,
    mqtt=True,
    apps=("vmd", "AXISImageHealthAnalytics"),
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
    ptz=True,
    apps=("vmd",),
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
    casing="NetworkStrobeSpeaker",
    poe_class=4,
    siren=True,
    mqtt=True,
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
    audio_inputs=1,
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
    supervised=True,
    apps=("vmd",),
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
    audio_inputs=1,
    mqtt=True,
    apps=("vmd",),
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
    ptz=True,
    apps=("vmd",),
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
    apps=("vmd",),
)
ENCODER_5 = Product(
    number="Q7404",
    type="Network Video Encoder",
    kind=Kind.ENCODER,
    generation=G5_40,
    firmware="5.40.9.2",
    build_date="Mar 24 2014 11:16",
    hardware="165",
    soc="Axis Artpec-3",
    architecture="crisv32",
    sd_card=0,
    ports=4,
    video_inputs=4,
    audio_inputs=1,
    supplies=1,
)
ENCODER_11 = Product(
    number="P7304",
    type="Network Video Encoder",
    kind=Kind.ENCODER,
    generation=G11_11,
    firmware="11.11.181",
    build_date="Nov 03 2025 10:22",
    hardware="8E5",
    soc="Axis Artpec-7",
    architecture="armv7hf",
    sensors=(Sensor(name="Main", base=43.0),),
    fans=1,
    sd_card=31_154_688,
    ports=4,
    share=1_953_480_704,
    video_inputs=4,
    audio_inputs=1,
    supplies=2,
)
THERMAL_12 = Product(
    number="Q1961-TE",
    type="Thermal Camera",
    kind=Kind.CAMERA,
    generation=G12,
    firmware="12.9.41",
    build_date="Aug 27 2026 14:51",
    hardware="9B2",
    sensors=(Sensor(name="Main", base=40.0), Sensor(name="ThermalSensor", base=35.0, high=70)),
    heaters=1,
    sd_card=124_735_488,
    ports=2,
    share=976_762_584,
    casing="NetworkCamera",
    apps=("vmd",),
)
AIR_SENSOR = Product(
    number="D6310",
    type="Air Quality Sensor",
    kind=Kind.SENSOR,
    generation=G12,
    firmware="12.9.41",
    build_date="Aug 27 2026 15:20",
    hardware="A05",
    soc="i.MX8MN",
    sensors=(Sensor(name="Main", base=36.0),),
    sd_card=None,
    ports=2,
    power_meter=True,
    poe_class=3,
    mqtt=True,
)
STROBE = Product(
    number="D4100-E",
    type="Network Strobe Siren",
    kind=Kind.STROBE,
    generation=G12,
    firmware="12.9.41",
    build_date="Aug 27 2026 15:11",
    hardware="90E",
    soc="i.MX6SX",
    architecture="armv7hf",
    sensors=(Sensor(name="CPU", base=46.0, high=105),),
    sd_card=None,
    ports=1,
    siren=True,
    supervised=True,
)
SPEAKER_1_65 = Product(
    number="C3003-E",
    type="Network Speaker",
    kind=Kind.SPEAKER,
    generation=G_SPEAKER,
    firmware="1.65.3",
    build_date="Jun 04 2019 09:44",
    hardware="739",
    soc="Axis Artpec-5",
    architecture="mips",
    sd_card=0,
)
RECORDER = Product(
    number="S3016",
    type="Network Video Recorder",
    kind=Kind.RECORDER,
    generation=G11_11,
    firmware="11.11.181",
    build_date="Nov 03 2025 12:31",
    hardware="9C8",
    soc="Rockchip RK3568",
    sensors=(Sensor(name="Main", base=42.0), Sensor(name="CPU", base=51.0, high=95)),
    fans=2,
    sd_card=None,
    hard_disks=(7_814_026_584, 7_814_026_584),
    supplies=1,
)
PTZ_13 = Product(
    number="Q6355-LE",
    type="PTZ Network Camera",
    kind=Kind.CAMERA,
    generation=G13,
    firmware="13.1.24",
    build_date="Nov 09 2026 08:15",
    hardware="A4C",
    soc="Axis Artpec-9",
    sensors=_DOME_SENSORS,
    fans=1,
    heaters=1,
    sd_card=249_921_536,
    infrared=True,
    ports=1,
    power_meter=True,
    poe_class=6,
    casing="NetworkCamera",
    ptz=True,
    apps=("vmd", "AXISImageHealthAnalytics"),
)
INTERCOM_12 = Product(
    number="I8116-E",
    type="Network Video Intercom",
    kind=Kind.INTERCOM,
    generation=G12,
    firmware="12.9.41",
    build_date="Aug 27 2026 13:40",
    hardware="A12",
    soc="Ambarella CV25",
    sensors=(Sensor(name="Main", base=39.0),),
    sd_card=0,
    infrared=True,
    ports=4,
    power_meter=True,
    poe_class=3,
    casing="NetworkVideoIntercom",
    supervised=True,
    apps=("vmd",),
)

PRODUCTS = {
    product.number: product
    for product in (
        DOME_11,
        PTZ_12,
        LEGACY_CAMERA,
        SPEAKER,
        STROBE_SPEAKER,
        IO_MODULE,
        INTERCOM,
        BOX_9,
        BODY_8,
        DOME_10,
        ENCODER_5,
        ENCODER_11,
        THERMAL_12,
        AIR_SENSOR,
        STROBE,
        SPEAKER_1_65,
        RECORDER,
        PTZ_13,
        INTERCOM_12,
    )
}
