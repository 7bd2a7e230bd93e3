"""The faults that can be switched on an Axis device, each with its sentence."""

from __future__ import annotations

from collections.abc import Callable

from simulator.axis.product import Kind, Product

_ALWAYS = {
    "crashed": "Switching on restarts the device after a crash: the firmware status says so until the next ordinary restart, which switching off is.",
    "reboot": "Switching on restarts the device once.",
    "unplugged": "The power is out: nothing answers. Plugging in is a restart.",
    "hang": "The device accepts connections and never answers.",
    "slow": "Every answer takes seconds.",
    "wrong_password": "The passwords were changed on the device: every login is refused.",
    "html_errors": "Every request is answered with status 200 and an HTML page.",
    "certificate_changed": "The device shows another certificate.",
    "certificate_expired": "The device shows a certificate that ended three days ago, with the key it always had.",
    "certificate_expiring": "The device shows a certificate that ends in ten days, with the key it always had.",
    "needs_setup": "The device was reset to factory defaults: it has no accounts and asks to be set up.",
    "echo_password": "The server report contains the password it was asked with.",
    "link_degraded": "The network link came up with 10 Mbit/s and half duplex.",
}

STREAM_FAULTS = {
    "stream_closes": "An event stream is closed as soon as it has been set up; those that are open are closed now.",
    "stream_silent": "Event streams stay open and nothing comes any more: no events, no answers, no pongs.",
    "stream_floods": "Event streams carry thousands of events a second that say nothing.",
    "stream_nonsense": "Event streams carry frames that make no sense, between those that do.",
}


def _events(product: Product) -> bool:
    return product.has("event-streaming-over-websocket")


def _clock(product: Product) -> bool:
    return product.has("ntp") or bool(product.rest("network-time-sync"))


def _power(product: Product) -> bool:
    return product.has("power-settings")


def _camera(product: Product) -> bool:
    """Has an optical unit of its own."""
    return product.kind in {Kind.CAMERA, Kind.INTERCOM}


def _scene(product: Product) -> bool:
    return _camera(product) and _events(product)


def _card(product: Product) -> bool:
    return bool(product.sd_card)


def _card_health(product: Product) -> bool:
    return _card(product) and product.generation.disk_health


def _image_health(product: Product) -> bool:
    return "AXISImageHealthAnalytics" in product.apps


def _siren(product: Product) -> bool:
    return product.has("siren-and-light")


def _ptz_events(product: Product) -> bool:
    return product.ptz and _events(product)


def _streams(product: Product) -> bool:
    return product.has("streamstatus")


_OF_SOME: dict[str, tuple[Callable[[Product], object], str]] = {
    "not_ready": (lambda product: product.has("systemready"), "The device says that it has not finished starting."),
    "pending_commit": (
        lambda product: product.has("fwmgr"),
        "A firmware update waits for its confirmation and will be rolled back without it.",
    ),
    # storage
    "sd_failed": (_card, "The SD card has failed: it is listed, cannot be used, and its health check fails."),
    "sd_removed": (_card, "The SD card was taken out."),
    "sd_full": (_card, "The SD card is full and nothing is deleted."),
    "sd_readonly": (_card, "The SD card can only be read."),
    "sd_worn": (_card_health, "The SD card has used up its life: wear is above 100 %."),
    "sd_sentinels": (_card_health, "No fault: the health check of the SD card knows neither wear nor temperature nor its verdict (-1, -2, -1)."),
    "recording_stopped": (lambda product: _card(product) and _events(product), "The recording on the device has stopped; only events tell."),
    "share_lost": (lambda product: product.share, "The network share cannot be used: it is connected and not mounted."),
    "share_disconnected": (lambda product: product.share, "The network share is gone: disconnected, without a size."),
    "disk_failed": (lambda product: product.hard_disks, "The first built-in disk has failed."),
    # heat and power
    "overheating": (lambda product: product.sensors, "The first sensor is above the limit that the device has for it."),
    "sensor_nonsense": (lambda product: product.sensors, "The first sensor shows a value that cannot be, 999 °C."),
    "sensor_sentinel": (lambda product: product.sensors, "The first sensor shows -128 °C: its reading failed."),
    "fan_failed": (lambda product: product.fans, "The first fan has failed."),
    "heater_failed": (lambda product: product.heaters, "The first heater has failed."),
    "power_insufficient": (_power, "The device asks for more power than it is given."),
    "poe_class_low": (_power, "The switch grants a PoE class below the one the device needs."),
    "power_supply_failed": (lambda product: product.supplies, "The first power supply has failed."),
    "ring_power": (_power, "What hangs on the supervised output takes more power than the device may give."),
    # clock
    "ntp_unsynced": (_clock, "The clock is not synchronised."),
    "clock_offset": (_clock, "The clock is 95.5 seconds off and counts as synchronised."),
    # light, siren, casing, signals
    "light_error": (lambda product: product.has("light-control"), "The infrared light reports an error."),
    "siren_failed": (_siren, "The self test of the siren failed."),
    "siren_light_failed": (_siren, "The self test of the light failed."),
    "speaker_test_failed": (lambda product: product.has("speakertest"), "The self test of the speaker failed; only an event tells."),
    "casing_open": (lambda product: product.casing, "The casing is open."),
    "video_lost": (lambda product: product.video_inputs, "The first video input has no signal."),
    "audio_lost": (lambda product: product.audio_inputs, "The first audio input has no signal."),
    # applications
    "app_stopped": (lambda product: product.apps, "The first application has stopped."),
    "app_licence_expired": (lambda product: "loiteringguard" in product.apps, "The licence of an application has ended and it is idle."),
    "app_licence_expiring": (lambda product: "loiteringguard" in product.apps, "The licence of an application ends in ten days."),
    "mqtt_disconnected": (lambda product: product.mqtt and product.has("mqtt-client"), "The MQTT client is active and not connected."),
    # picture
    "image_blocked": (_image_health, "The image health application sees a blocked view."),
    "image_blurred": (_image_health, "The image health application sees a blurred picture."),
    "image_redirected": (_image_health, "The image health application sees another scene."),
    "image_underexposed": (_image_health, "The image health application sees a picture that is too dark."),
    "analytics_stopped": (_image_health, "The image health application is stopped: 503."),
    "analytics_missing": (_image_health, "The image health application is not installed: 404."),
    "tampering": (_scene, "Switching on announces tampering with the camera once."),
    "scene_change": (_scene, "The scene has changed."),
    "daynight_stuck": (_scene, "The day/night filter is stuck at night."),
    "abr_error": (_scene, "The average bit rate cannot be kept."),
    # PTZ, ports, network
    "ptz_error": (_ptz_events, "Switching on announces an error of the PTZ unit once."),
    "ptz_not_ready": (_ptz_events, "The PTZ unit is not ready."),
    "ptz_power_failed": (_ptz_events, "The PTZ unit has no power."),
    "io_supervision": (lambda product: product.has("supervised-io"), "The wire of the first supervised port is cut or shorted."),
    "network_lost": (_events, "The second network interface is lost; only an event tells."),
    "action_failed": (_events, "Switching on announces an action that failed once."),
    "air_alarm": (lambda product: product.kind is Kind.SENSOR, "The air is bad; the device is not."),
    # intercom
    "sip_unregistered": (lambda product: product.has("sip"), "The SIP account is not registered."),
    "call_running": (lambda product: product.has("sip"), "No fault: a call is running."),
    # recorder
    "no_stream": (_streams, "Nobody fetches a stream of this camera."),
    "stream_paused": (_streams, "The stream to the recorder is there and paused."),
    "foreign_stream": (_streams, "The stream goes to somebody who is not the recorder."),
    **{name: (_events, sentence) for name, sentence in STREAM_FAULTS.items()},
}


def faults_of(product: Product) -> dict[str, str]:
    """The faults that make sense on this product."""
    return _ALWAYS | {name: sentence for name, (offered, sentence) in _OF_SOME.items() if offered(product)}
