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
    MetricSpec(
        name="latarnik_axis_event_active",
        labels=("topic", "source"),
        help="1 while a state that the device announces by itself holds, 0 while it does not; event stream, of supervised ports also portmanagement.cgi",
    ),
    MetricSpec(name="latarnik_axis_power_watts", labels=("kind",), help="Power the device uses: current, average, and the max it ever saw. power-settings.cgi"),
    MetricSpec(name="latarnik_axis_power_requested_watts", help="Power the device asks for. power-settings.cgi"),
    MetricSpec(
        name="latarnik_axis_poe_class", labels=("source",), help="PoE class granted by the switch: pse by its port, lldp by negotiation. power-settings.cgi"
    ),
    MetricSpec(name="latarnik_axis_ntp_synced", help="1 when the clock is synchronised; absent where time synchronisation is off. ntp.cgi"),
    MetricSpec(name="latarnik_axis_light_ok", labels=("light",), help="1 when the light works, 0 when it reports a failure. lightcontrol.cgi"),
    MetricSpec(name="latarnik_axis_port_active", labels=("port",), help="1 while an input or output is not in its normal state. portmanagement.cgi"),
    MetricSpec(name="latarnik_axis_self_test_ok", labels=("part",), help="1 when the last self test passed, 0 when it failed. siren_and_light.cgi"),
    MetricSpec(name="latarnik_axis_siren_maintenance", help="1 while the siren is in maintenance mode and will not sound. /config/rest/siren-and-light"),
    MetricSpec(name="latarnik_axis_casing_open", labels=("casing",), help="1 while the casing is open. AXIS-VIDEO-MIB and event stream"),
    MetricSpec(name="latarnik_axis_video_signal_ok", labels=("channel",), help="1 when the video input has a signal. AXIS-VIDEO-MIB and event stream"),
    MetricSpec(name="latarnik_axis_audio_signal_ok", labels=("channel",), help="1 when the audio input has a signal. AXIS-VIDEO-MIB and event stream"),
    MetricSpec(name="latarnik_axis_cpu_utilization_ratio", help="Load of the processor, 1 is full; newest firmware only. AXIS-VIDEO-MIB"),
    MetricSpec(
        name="latarnik_axis_application_running",
        labels=("application",),
        help="1 when the application runs, 0 when it is stopped; absent while it idles. applications/list.cgi",
    ),
    MetricSpec(
        name="latarnik_axis_application_license_expiry_timestamp_seconds",
        labels=("application",),
        help="When the application's licence ends. applications/list.cgi",
    ),
    MetricSpec(
        name="latarnik_axis_picture_trouble",
        labels=("trouble",),
        help="1 while the camera's analysis finds the picture blocked, blurred, redirected or underexposed. AXIS Image Health Analytics",
    ),
    MetricSpec(name="latarnik_axis_streams_playing", help="RTSP streams that play now. streamstatus.cgi"),
    MetricSpec(name="latarnik_axis_network_full_duplex", labels=("interface",), help="1 when the link runs full duplex, 0 when half. network_settings.cgi"),
    MetricSpec(name="latarnik_axis_mqtt_connected", help="1 when the MQTT client is connected; absent where it is not active. mqtt/client.cgi"),
    MetricSpec(
        name="latarnik_axis_certificate_expiry_timestamp_seconds",
        labels=("certificate",),
        help="When the certificate ends; https is the one it shows to us, the others are those it holds",
    ),
    MetricSpec(name="latarnik_axis_sip_registered", labels=("account",), help="1 when the SIP account is registered, 0 when it is not. Call service"),
)
