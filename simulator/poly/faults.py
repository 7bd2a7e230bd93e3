"""The faults that can be switched, each with its sentence."""

from __future__ import annotations

from simulator.poly.profiles import Profile

_ALWAYS = {
    "mic_lost": "A microphone (the only one of a bar) is no longer connected.",
    "sip_down": "The registration with the SIP server is lost.",
    "provisioning_down": "The provisioning service is configured and does not answer.",
    "log_full": "The log has reached its threshold.",
    "lan_100": "The network link came up with 100 Mbit/s.",
    "lan_half": "The network link came up in half duplex.",
    "unplugged": "The power is out: nothing answers. Plugging in is a restart.",
    "web_off": "The web interface is switched off: HTTPS connections are dropped, the command line stays.",
    "hang": "The web interface accepts connections and never answers, until a reboot.",
    "slow": "Every answer of the web interface takes seconds.",
    "wrong_password": "The password was changed on the device: every login is refused.",
    "sessions_full": "Another system holds every free session.",
    "in_call": "A SIP call is connected.",
    "device_mode": "The bar works as a USB camera of a computer.",
    "asleep": "The system sleeps, which is normal.",
    "updating": "A software update runs.",
    "reboot": "Switching on reboots the device once.",
    "reboot_needed": "The device says that it needs a reboot.",
    "booting_stays": "The device never finishes starting.",
    "html_errors": "Errors are HTML pages, and status, cameras and peripherals answer 200 with an HTML page labelled as JSON.",
    "time_server_down": "The time server does not answer and the clock is wrong.",
    "certificate_changed": "Switching on renews the certificate once, without a reboot.",
}


def faults_of(profile: Profile) -> dict[str, str]:
    """The faults that make sense on this installation."""
    faults = dict(_ALWAYS)
    if profile.has_camera:
        faults["camera_down"] = "The camera is connected and delivers no picture."
    if profile.e70:
        faults["e70_unplugged"] = "The Studio E70 is gone: its row vanishes from the list of devices."
    if profile.panel:
        faults["tc8_lost"] = f"The {profile.panel} is disconnected: its row stays, its session ends."
    if profile.has_apps_state:
        faults["in_meeting"] = f"The room is in a {profile.provider} meeting."
    return faults
