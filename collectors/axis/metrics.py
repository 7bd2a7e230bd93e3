"""Metrics that only Axis devices have."""

from __future__ import annotations

from agent.model import MetricSpec

STORAGE_STATES = ("ok", "connected", "disconnected", "failed", "locked_out")

METRICS = (
    MetricSpec(
        name="latarnik_axis_storage_status",
        labels=("storage",),
        states=STORAGE_STATES,
        help="State of each storage slot; connected: there, but not mounted; locked_out: its encryption key is missing or wrong. disks/list.cgi",
    ),
    MetricSpec(
        name="latarnik_axis_storage_wear_ratio", labels=("storage",), help="Used part of the medium's life, 1 is worn out; AXIS cards only. disks/gethealth.cgi"
    ),
    MetricSpec(
        name="latarnik_axis_storage_self_check_ok", labels=("storage",), help="1 when the medium passes its own check, 0 when it fails. disks/gethealth.cgi"
    ),
    MetricSpec(name="latarnik_axis_needs_setup", help="1 when the device has no password yet: it is new or was reset to factory default. systemready.cgi"),
    MetricSpec(name="latarnik_axis_firmware_commit_pending", help="1 when an upgrade is not committed yet and may roll back. firmwaremanagement.cgi"),
    MetricSpec(name="latarnik_axis_power_supply_ok", labels=("supply",), help="1 when the power supply works, 0 when it reports a failure. AXIS-VIDEO-MIB"),
    MetricSpec(name="latarnik_axis_temperature_sensor_ok", labels=("sensor",), help="1 when the sensor works, 0 when it reports a failure. AXIS-VIDEO-MIB"),
)
