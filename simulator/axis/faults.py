"""The faults that can be switched on an Axis device, each with its sentence."""

from __future__ import annotations

from simulator.axis.product import Product

_ALWAYS = {
    "crashed": "Switching on restarts the device after a crash: the firmware status says so until the next ordinary restart, which switching off is.",
    "reboot": "Switching on restarts the device once.",
    "unplugged": "The power is out: nothing answers. Plugging in is a restart.",
    "hang": "The device accepts connections and never answers.",
    "slow": "Every answer takes seconds.",
    "wrong_password": "The passwords were changed on the device: every login is refused.",
    "html_errors": "Every request is answered with status 200 and an HTML page.",
    "certificate_changed": "The device shows another certificate.",
    "needs_setup": "The device was reset to factory defaults: it has no accounts and asks to be set up.",
    "echo_password": "The server report contains the password it was asked with.",
}


def faults_of(product: Product) -> dict[str, str]:
    """The faults that make sense on this product."""
    faults = dict(_ALWAYS)
    if product.has("systemready"):
        faults["not_ready"] = "The device says that it has not finished starting."
    if product.has("fwmgr"):
        faults["pending_commit"] = "A firmware update waits for its confirmation and will be rolled back without it."
    if product.sd_card:
        faults["sd_failed"] = "The SD card has failed: it is listed, cannot be used, and its health check fails."
        faults["sd_removed"] = "The SD card was taken out."
    if product.sensors:
        faults["overheating"] = "The first sensor is above the limit that the device has for it."
        faults["sensor_nonsense"] = "The first sensor shows a value that cannot be."
    if product.fans:
        faults["fan_failed"] = "The first fan has failed."
    if product.heaters:
        faults["heater_failed"] = "The first heater has failed."
    return faults
