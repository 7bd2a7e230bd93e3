"""What can be wrong with an Axis device, in words for people."""

from __future__ import annotations

from agent.model import FaultSpec, Severity, Text
from collectors.axis.faults_events import EVENT_FAULTS
from collectors.axis.faults_health import HEALTH_FAULTS, HEALTH_SHOWN_BY

NOT_READY = "axis.not_ready"
NEEDS_SETUP = "axis.needs_setup"
CRASHED = "axis.crashed"
TEMPERATURE_HIGH = "axis.temperature.high"
TEMPERATURE_LOW = "axis.temperature.low"
SENSOR_FAILED = "axis.temperature.sensor_failed"
FAN_FAILED = "axis.fan.failed"
HEATER_FAILED = "axis.heater.failed"
POWER_SUPPLY_FAILED = "axis.power_supply.failed"
STORAGE_FAILED = "axis.storage.failed"
STORAGE_WORN = "axis.storage.worn"
PENDING_COMMIT = "axis.firmware.pending_commit"

FAULTS = (
    FaultSpec(
        code=NOT_READY,
        severity=Severity.CRITICAL,
        title=Text("Device does not finish starting", "Urządzenie nie kończy uruchamiania"),
        advice=Text(
            "It answers but says it is not ready. A start takes up to three minutes, an upgrade longer. After that, check its power supply and its log.",
            "Odpowiada, ale zgłasza brak gotowości. Start trwa do trzech minut, aktualizacja dłużej. Po tym czasie sprawdź zasilanie i dziennik systemowy.",
        ),
        hold=600.0,
        hits=3,
    ),
    FaultSpec(
        code=NEEDS_SETUP,
        severity=Severity.CRITICAL,
        title=Text("Device has lost its configuration", "Urządzenie utraciło konfigurację"),
        advice=Text(
            "It has no password: it is new, or somebody or something reset it to factory default. Set it up again, and find out who pressed the button.",
            "Nie ma ustawionego hasła: jest nowe albo przywrócono ustawienia fabryczne. Skonfiguruj je ponownie i ustal, kto lub co je zresetowało.",
        ),
        hold=300.0,
    ),
    FaultSpec(
        code=CRASHED,
        severity=Severity.WARNING,
        title=Text("Device restarted after a crash", "Urządzenie uruchomiło się ponownie po awarii oprogramowania"),
        advice=Text(
            "The device itself names a crash as the cause of its last start. Send the server report to Axis; upgrade if its track has newer firmware.",
            "Urządzenie podaje awarię jako przyczynę ostatniego startu. Wyślij raport serwera do Axis; zaktualizuj oprogramowanie, jeśli jest nowsze.",
        ),
        hold=0.0,
        hits=1,
        clear=0.0,
        misses=1,
    ),
    FaultSpec(
        code=TEMPERATURE_HIGH,
        severity=Severity.CRITICAL,
        title=Text("Device is too hot", "Przegrzanie urządzenia"),
        advice=Text(
            "A sensor is at or above the device's own limit. Look for sun, a blocked vent or a stopped fan.",
            "Czujnik osiągnął limit ustawiony w urządzeniu. Sprawdź nasłonecznienie, drożność wentylacji i pracę wentylatora.",
        ),
        hold=300.0,
    ),
    FaultSpec(
        code=TEMPERATURE_LOW,
        severity=Severity.WARNING,
        title=Text("Device is too cold", "Zbyt niska temperatura urządzenia"),
        advice=Text(
            "A sensor is at or below the device's own limit. Check the heater and whether PoE gives enough power for it.",
            "Czujnik osiągnął dolny limit ustawiony w urządzeniu. Sprawdź grzałkę i czy PoE zapewnia dla niej wystarczającą moc.",
        ),
        hold=300.0,
    ),
    FaultSpec(
        code=SENSOR_FAILED,
        severity=Severity.WARNING,
        title=Text("Temperature sensor is broken", "Uszkodzony czujnik temperatury"),
        advice=Text(
            "The device reports a failure of the sensor itself: overheating would go unseen. Have the device exchanged.",
            "Urządzenie zgłasza awarię samego czujnika, więc przegrzanie pozostałoby niezauważone. Zgłoś urządzenie do wymiany.",
        ),
        hold=300.0,
    ),
    FaultSpec(
        code=FAN_FAILED,
        severity=Severity.CRITICAL,
        title=Text("Fan is broken", "Uszkodzony wentylator"),
        advice=Text(
            "Clean it; if it still reports a failure, have it or the device exchanged.", "Oczyść wentylator; jeśli awaria nie ustąpi, wymień go lub urządzenie."
        ),
        hold=300.0,
    ),
    FaultSpec(
        code=HEATER_FAILED,
        severity=Severity.WARNING,
        title=Text("Heater is broken", "Uszkodzona grzałka"),
        advice=Text(
            "Check that PoE or the power supply gives the power the heater needs; then have the device exchanged, before the frost.",
            "Sprawdź, czy PoE lub zasilacz zapewnia moc potrzebną grzałce; następnie zgłoś urządzenie do wymiany, zanim przyjdzie mróz.",
        ),
        hold=300.0,
    ),
    FaultSpec(
        code=POWER_SUPPLY_FAILED,
        severity=Severity.CRITICAL,
        title=Text("Power supply is broken", "Awaria zasilania"),
        advice=Text(
            "Check the mains and the cable of the supply named; the device may be running on its last one.",
            "Sprawdź zasilanie sieciowe i przewód wskazanego zasilacza; urządzenie może pracować na ostatnim sprawnym.",
        ),
        hold=120.0,
    ),
    FaultSpec(
        code=STORAGE_FAILED,
        severity=Severity.CRITICAL,
        title=Text("Storage does not work: nothing is recorded there", "Nośnik danych nie działa: brak zapisu"),
        advice=Text(
            "Reseat or exchange the card; for a network share check its server, account and password. What it held may be lost.",
            "Wyjmij i włóż lub wymień kartę; w przypadku zasobu sieciowego sprawdź serwer, konto i hasło. Zapisane dane mogą być utracone.",
        ),
        hold=300.0,
    ),
    FaultSpec(
        code=STORAGE_WORN,
        severity=Severity.WARNING,
        title=Text("Storage medium is worn out", "Zużyty nośnik danych"),
        advice=Text(
            "Exchange the card before it fails; save what must be kept.",
            "Wymień kartę, zanim ulegnie awarii; zabezpiecz potrzebne nagrania.",
        ),
        hold=0.0,
    ),
    FaultSpec(
        code=PENDING_COMMIT,
        severity=Severity.WARNING,
        title=Text("Firmware upgrade is not committed", "Aktualizacja oprogramowania nie została zatwierdzona"),
        advice=Text(
            "The device goes back to its old firmware by itself unless somebody commits the upgrade.",
            "Urządzenie samo wróci do poprzedniej wersji, jeśli nikt nie zatwierdzi aktualizacji.",
        ),
        hold=0.0,
        ticket=False,
    ),
    *EVENT_FAULTS,
    *HEALTH_FAULTS,
)

SHOWN_BY = {
    "device.login_refused": ("temperatures",),
    "device.identity_mismatch": ("identity", "identity_account"),
    "device.rebooted": ("readiness", "snmp_system"),
    "device.rebooting": ("readiness", "snmp_system"),
    NOT_READY: ("readiness",),
    NEEDS_SETUP: ("readiness",),
    CRASHED: ("firmware",),
    PENDING_COMMIT: ("firmware",),
    TEMPERATURE_HIGH: ("temperatures", "snmp_health"),
    TEMPERATURE_LOW: ("temperatures", "snmp_health"),
    SENSOR_FAILED: ("snmp_health",),
    FAN_FAILED: ("temperatures", "snmp_health"),
    HEATER_FAILED: ("temperatures",),
    POWER_SUPPLY_FAILED: ("snmp_health",),
    STORAGE_FAILED: ("storage", "storage_health", "snmp_health"),
    STORAGE_WORN: ("storage_health",),
    **{spec.code: () for spec in EVENT_FAULTS},
    **HEALTH_SHOWN_BY,
}
"""Which facets' answers show a fault: the slowest of them gives the published detection time. What only the event stream tells is there at every poll."""
