"""Metrics and fault codes that every vendor shares. A vendor's own stand in its `metrics.py` and `rules.py`.

DEVICE_METRICS come of what the agent knows of a device; READING_METRICS are filled by collectors' readings.
"""

from __future__ import annotations

from agent.model import FaultSpec, MetricKind, MetricSpec, Severity, Text

INFO_LABELS = ("vendor", "model", "serial", "firmware", "hardware", "mac", "site", "room", "name", "parent", "contract")

DEVICE_METRICS = (
    MetricSpec(
        name="latarnik_device_info",
        kind=MetricKind.INFO,
        labels=INFO_LABELS,
        help="What the device is and where, always 1; join with * on(device) group_left(...)",
    ),
    MetricSpec(name="latarnik_device_up", help="1 when the last poll reached the device, 0 when it did not; absent before the first poll"),
    MetricSpec(name="latarnik_device_last_poll_timestamp_seconds", help="When the device was last polled"),
    MetricSpec(name="latarnik_device_last_success_timestamp_seconds", help="When a poll last reached the device"),
    MetricSpec(name="latarnik_device_poll_duration_seconds", help="How long the last poll took"),
    MetricSpec(
        name="latarnik_device_requests_total",
        kind=MetricKind.COUNTER,
        labels=("source",),
        help="Requests that polls made to the device since the agent started, by way in; times 3600 in rate() it is requests per hour",
    ),
    MetricSpec(
        name="latarnik_device_facet_ok",
        labels=("facet", "source"),
        help="1 when this part of the poll was answered, 0 when it failed or is stale; absent where the device lacks it",
    ),
    MetricSpec(
        name="latarnik_device_health",
        states=("ok", "warning", "critical"),
        help="Worst open fault of the device; unknown while it cannot be judged",
    ),
    MetricSpec(
        name="latarnik_device_fault_active",
        labels=("code", "severity", "component", "cause"),
        help="1 for each confirmed fault; gone when it is gone; cause names what several devices share that have it now, else empty",
    ),
    MetricSpec(
        name="latarnik_device_fault_suspected",
        labels=("code", "severity", "component"),
        help="1 for each fault that was seen or that the device told of, and that does not count yet",
    ),
    MetricSpec(name="latarnik_device_event_stream_up", help="1 while the device tells of events by itself, 0 while its stream is broken; absent without one"),
    MetricSpec(name="latarnik_device_fault_since_timestamp_seconds", labels=("code", "component"), help="When the fault was first seen"),
    MetricSpec(name="latarnik_device_authentication_blocked", help="1 when the agent no longer logs in because the device refused the credential"),
    MetricSpec(
        name="latarnik_device_contract_expiry_timestamp_seconds", labels=("contract", "plan"), help="End of the device's service contract, end of that day"
    ),
    MetricSpec(
        name="latarnik_ticket_opened_timestamp_seconds",
        labels=("case", "desk", "ticket", "severity"),
        help="When the case was opened; one series a ticket that is open",
    ),
)

READING_METRICS = (
    MetricSpec(name="latarnik_device_boot_timestamp_seconds", help="When the device started, from its uptime; rounded to 10 s"),
    MetricSpec(name="latarnik_device_reboots_total", kind=MetricKind.COUNTER, help="Restarts of the device that were seen (last 32 kept across restarts)"),
    MetricSpec(name="latarnik_device_temperature_celsius", labels=("sensor",), help="Temperature the device measures"),
    MetricSpec(name="latarnik_device_temperature_limit_celsius", labels=("sensor", "level"), help="The device's own limit for that sensor (level high or low)"),
    MetricSpec(name="latarnik_device_fan_ok", labels=("fan",), help="1 when the fan works or rests, 0 when it reports a failure"),
    MetricSpec(name="latarnik_device_heater_ok", labels=("heater",), help="1 when the heater works or rests, 0 when it reports a failure"),
    MetricSpec(name="latarnik_device_storage_ok", labels=("storage",), help="1 when the medium works, 0 when not; only for storage that is expected"),
    MetricSpec(name="latarnik_device_storage_size_bytes", labels=("storage",), help="Size of the medium"),
    MetricSpec(name="latarnik_device_storage_free_bytes", labels=("storage",), help="Free space on the medium"),
    MetricSpec(name="latarnik_device_ready", help="1 when the device says it has finished starting"),
    MetricSpec(name="latarnik_device_clock_offset_seconds", help="Device clock minus ours, at the poll"),
    MetricSpec(name="latarnik_device_network_link_up", labels=("interface",), help="1 when the interface is up"),
    MetricSpec(name="latarnik_device_network_speed_bytes_per_second", labels=("interface",), help="Speed of the link"),
    MetricSpec(
        name="latarnik_peripheral_info",
        kind=MetricKind.INFO,
        labels=("peripheral", "kind", "model", "serial", "firmware"),
        help="A part that hangs on the device, always 1; peripheral is its serial, or a name where it has none",
    ),
    MetricSpec(
        name="latarnik_peripheral_connected",
        labels=("peripheral", "kind"),
        help="1 when the part is there, 0 when the device lists it as gone; one that left the list is a fault",
    ),
    MetricSpec(name="latarnik_call_active", help="1 while the room is in a call or meeting; absent when that is not known"),
)

COMMON_FAULTS = (
    FaultSpec(
        code="device.unreachable",
        severity=Severity.CRITICAL,
        title=Text("Device does not answer on the network", "Urządzenie nie odpowiada w sieci"),
        advice=Text(
            "Check its power and its network port; ping it from the site server; then look at the switch port and at PoE.",
            "Sprawdź zasilanie i port sieciowy, wykonaj ping z serwera lokalnego, następnie sprawdź port przełącznika i PoE.",
        ),
        hold=300.0,
        hits=3,
    ),
    FaultSpec(
        code="device.login_refused",
        severity=Severity.WARNING,
        title=Text("Device refuses the credential", "Urządzenie odrzuca dane logowania"),
        advice=Text(
            "Correct the password in the secret file (the new one is tried by itself), or mend it on the device and run: latarnik unblock DEVICE",
            "Popraw hasło w pliku z sekretem (nowe zostanie użyte automatycznie) albo zmień je na urządzeniu i wykonaj: latarnik unblock DEVICE",
        ),
        hold=0.0,
        hits=1,
        clear=0.0,
        misses=1,
        ticket=False,
    ),
    FaultSpec(
        code="device.not_trusted",
        severity=Severity.WARNING,
        title=Text("Certificate of the device is not accepted", "Certyfikat urządzenia nie jest zaakceptowany"),
        advice=Text(
            "Compare the fingerprint with the one the device shows, then run: latarnik trust DEVICE",
            "Porównaj odcisk z pokazywanym przez urządzenie, następnie wykonaj: latarnik trust DEVICE",
        ),
        hold=0.0,
        hits=1,
        clear=0.0,
        misses=1,
        ticket=False,
        share_least=3,
        share_within=1800.0,
    ),
    FaultSpec(
        code="device.identity_mismatch",
        severity=Severity.WARNING,
        title=Text("Another device answers at this address", "Pod tym adresem odpowiada inne urządzenie"),
        advice=Text(
            "The serial number differs from the inventory's. If the device was replaced, correct its serial in the inventory.",
            "Numer seryjny różni się od zapisanego w inwentarzu. Jeśli urządzenie wymieniono, popraw numer w inwentarzu.",
        ),
        hold=0.0,
        hits=2,
        ticket=False,
    ),
    FaultSpec(
        code="device.rebooted",
        severity=Severity.INFO,
        title=Text("Device restarted", "Urządzenie uruchomiło się ponownie"),
        advice=Text("Nothing to do if it was expected.", "Jeśli było to oczekiwane, nie trzeba nic robić."),
        hold=0.0,
        hits=1,
        clear=0.0,
        misses=1,
        ticket=False,
    ),
    FaultSpec(
        code="device.rebooting",
        severity=Severity.CRITICAL,
        title=Text("Device restarts again and again", "Urządzenie wielokrotnie uruchamia się ponownie"),
        advice=Text(
            "Three restarts or more within a day. Check power and PoE budget first, then have the logs looked at.",
            "Co najmniej trzy uruchomienia w ciągu doby. Najpierw sprawdź zasilanie i budżet PoE, potem logi.",
        ),
        hold=0.0,
        hits=1,
        clear=86400.0,
    ),
)
