"""Metrics that only Poly devices have. The shared ones stand in `agent.catalogue`."""

from __future__ import annotations

from agent.model import MetricKind, MetricSpec

STATE = "latarnik_poly_state"
STATUS = "latarnik_poly_status"
LAN_FULL_DUPLEX = "latarnik_poly_lan_full_duplex"
REBOOT_NEEDED = "latarnik_poly_reboot_needed"
TIME_SERVER_UP = "latarnik_poly_time_server_up"
LOG_FULL = "latarnik_poly_log_full"
MICROPHONES = "latarnik_poly_microphones"
MUTED = "latarnik_poly_muted"
MUTE_LOCKED = "latarnik_poly_mute_locked"
CAMERA_CONNECTED = "latarnik_poly_camera_connected"
MODE = "latarnik_poly_mode"
APP = "latarnik_poly_app_info"
REGISTERED = "latarnik_poly_registered"
CALENDAR = "latarnik_poly_calendar"
SESSIONS = "latarnik_poly_sessions"

BOOT = "latarnik_device_boot_timestamp_seconds"
CLOCK_OFFSET = "latarnik_device_clock_offset_seconds"
READY = "latarnik_device_ready"
LINK_UP = "latarnik_device_network_link_up"
LINK_SPEED = "latarnik_device_network_speed_bytes_per_second"
PERIPHERAL = "latarnik_peripheral_info"
PERIPHERAL_CONNECTED = "latarnik_peripheral_connected"
CALL_ACTIVE = "latarnik_call_active"

STATES = ("initializing", "ready", "shutting_down", "down", "updating", "asleep", "in_call")
ROW_STATES = ("up", "degraded", "down", "off")
MODES = ("poly", "teams", "zoom", "device", "other")
CALENDAR_STATES = ("online", "offline", "disabled", "connecting", "error")
MAX_ROWS = 16
"""Rows of `/rest/system/status` that are kept: 12 are known."""

METRICS = (
    MetricSpec(name=STATE, states=STATES, help="What the codec says it is doing; asleep is normal"),
    MetricSpec(
        name=STATUS,
        labels=("row",),
        states=ROW_STATES,
        max_series=MAX_ROWS * (len(ROW_STATES) + 1),
        help="Row of the codec's own status page; off means not configured, degraded means some of several are up",
    ),
    MetricSpec(name=LAN_FULL_DUPLEX, help="1 when the codec's network port runs full duplex, 0 when half"),
    MetricSpec(name=REBOOT_NEEDED, help="1 when the codec waits for a restart to apply something"),
    MetricSpec(name=TIME_SERVER_UP, help="1 when the codec reaches its time server, 0 when it says it does not"),
    MetricSpec(name=LOG_FULL, help="1 when the codec's log has reached its threshold and overwrites the oldest part"),
    MetricSpec(name=MICROPHONES, help="Microphones the codec has"),
    MetricSpec(name=MUTED, help="1 while the room is muted"),
    MetricSpec(name=MUTE_LOCKED, help="1 while the mute cannot be taken back in the room"),
    MetricSpec(name=CAMERA_CONNECTED, labels=("camera",), max_series=16, help="1 when this people camera input is connected; inputs never used are 0"),
    MetricSpec(name=MODE, states=MODES, help="Which application runs the room; device means the bar serves as a USB camera"),
    MetricSpec(name=APP, kind=MetricKind.INFO, labels=("app", "version"), max_series=16, help="Application installed on the codec, always 1"),
    MetricSpec(name=REGISTERED, labels=("service",), help="1 when registered with the server (sip or gatekeeper), 0 when not; absent where none is set"),
    MetricSpec(name=CALENDAR, states=CALENDAR_STATES, help="Connection of the codec to its calendar"),
    MetricSpec(name=SESSIONS, labels=("client",), max_series=8, help="Management sessions open on the codec, those of panels and other controllers too"),
)
