"""What can be wrong beside storage, heat and firmware, in words for people; and which facets show it."""

from __future__ import annotations

from agent.model import FaultSpec, Severity, Text
from collectors.axis.faults_events import LINE_TAMPERED, SELF_TEST_FAILED

POWER_SHORT = "axis.power.insufficient"
CLOCK_UNSYNCED = "axis.clock.unsynced"
CLOCK_OFF = "axis.clock.off"
LIGHT_FAILED = "axis.light.failed"
SIREN_MAINTENANCE = "axis.siren.maintenance"
CASING_OPEN = "axis.casing.open"
VIDEO_LOST = "axis.video.lost"
AUDIO_LOST = "axis.audio.lost"
APPLICATION_STOPPED = "axis.application.stopped"
LICENSE_ENDS = "axis.application.license"
NETWORK_SLOW = "axis.network.slow"
CERTIFICATE_ENDS = "axis.certificate.expiring"
CERTIFICATE_CHANGED = "axis.certificate.changed"
MQTT_LOST = "axis.mqtt.disconnected"
PICTURE_BAD = "axis.picture.bad"
SIP_UNREGISTERED = "axis.sip.unregistered"
NOT_RECORDED = "axis.recorder.no_stream"

HEALTH_FAULTS = (
    FaultSpec(
        code=POWER_SHORT,
        severity=Severity.WARNING,
        title=Text("Device gets less power than it asks for", "Urządzenie otrzymuje mniej mocy, niż żąda"),
        advice=Text(
            "The PoE class that the switch grants gives less than the device asks for; heater, light or PTZ may stay off. Use a stronger port or midspan.",
            "Klasa PoE przyznana przez przełącznik daje mniej mocy, niż żąda urządzenie; grzałka, światło lub PTZ mogą nie działać. Użyj mocniejszego portu.",
        ),
        hold=600.0,
        ticket=False,
    ),
    FaultSpec(
        code=CLOCK_UNSYNCED,
        severity=Severity.WARNING,
        title=Text("Clock is not synchronised", "Zegar nie jest zsynchronizowany"),
        advice=Text(
            "Time synchronisation is on and has not worked for six hours. Check the time server's address and whether the device reaches it (UDP 123).",
            "Synchronizacja czasu jest włączona i nie działa od sześciu godzin. Sprawdź adres serwera czasu i czy urządzenie ma do niego dostęp (UDP 123).",
        ),
        hold=21_600.0,
        share_least=3,
    ),
    FaultSpec(
        code=CLOCK_OFF,
        severity=Severity.WARNING,
        title=Text("Clock is wrong", "Zegar wskazuje błędny czas"),
        advice=Text(
            "By its own account it is more than half a minute off: recordings and logs bear the wrong time. Check the time server that it uses.",
            "Według własnych danych odchyla się o ponad pół minuty: nagrania i dzienniki mają błędny czas. Sprawdź używany serwer czasu.",
        ),
        hold=900.0,
        share_least=3,
    ),
    FaultSpec(
        code=LIGHT_FAILED,
        severity=Severity.CRITICAL,
        title=Text("Light of the device is broken", "Uszkodzone oświetlenie urządzenia"),
        advice=Text(
            "The device reports a fault of its infrared or white light: at night it sees less or nothing. Have the device exchanged.",
            "Urządzenie zgłasza awarię oświetlacza podczerwieni lub światła białego: w nocy widzi gorzej lub wcale. Zgłoś urządzenie do wymiany.",
        ),
        hold=300.0,
    ),
    FaultSpec(
        code=SIREN_MAINTENANCE,
        severity=Severity.WARNING,
        title=Text("Siren is in maintenance mode", "Syrena jest w trybie konserwacji"),
        advice=Text(
            "It has been in maintenance mode for four hours and will not sound. End the mode on its web page.",
            "Od czterech godzin jest w trybie konserwacji i nie zadziała. Zakończ ten tryb na stronie WWW urządzenia.",
        ),
        hold=14_400.0,
        ticket=False,
    ),
    FaultSpec(
        code=CASING_OPEN,
        severity=Severity.CRITICAL,
        title=Text("Casing is open", "Obudowa jest otwarta"),
        advice=Text(
            "Unless somebody works on it now: look at the picture, go there, and close it before water gets in.",
            "Jeśli nikt przy niej teraz nie pracuje: obejrzyj obraz, sprawdź na miejscu i zamknij obudowę, zanim dostanie się woda.",
        ),
        hold=120.0,
    ),
    FaultSpec(
        code=VIDEO_LOST,
        severity=Severity.CRITICAL,
        title=Text("Video input has no signal", "Brak sygnału na wejściu wideo"),
        advice=Text(
            "The input had a signal before. Check the camera on it, its power and its cable.",
            "Wejście miało wcześniej sygnał. Sprawdź podłączoną kamerę, jej zasilanie i przewód.",
        ),
        hold=120.0,
    ),
    FaultSpec(
        code=AUDIO_LOST,
        severity=Severity.WARNING,
        title=Text("Audio input has no signal", "Brak sygnału na wejściu audio"),
        advice=Text(
            "The input had a signal before. Check the microphone or source on it and its cable.",
            "Wejście miało wcześniej sygnał. Sprawdź podłączony mikrofon lub źródło oraz przewód.",
        ),
        hold=300.0,
    ),
    FaultSpec(
        code=APPLICATION_STOPPED,
        severity=Severity.WARNING,
        title=Text("Application on the device does not run", "Aplikacja na urządzeniu nie działa"),
        advice=Text(
            "It ran before, or this site expects it (expect_apps). Start it on the device's page; if it stops again, see its log and licence.",
            "Działała wcześniej albo jest wymagana (expect_apps). Uruchom ją na stronie urządzenia; jeśli znów się zatrzyma, sprawdź jej dziennik i licencję.",
        ),
        hold=300.0,
    ),
    FaultSpec(
        code=LICENSE_ENDS,
        severity=Severity.WARNING,
        title=Text("Licence of an application ends", "Kończy się licencja aplikacji"),
        advice=Text(
            "It ends within 30 days or has ended; the application stops then. Renew the licence.",
            "Kończy się w ciągu 30 dni lub już wygasła; aplikacja przestanie wtedy działać. Odnów licencję.",
        ),
        hold=0.0,
    ),
    FaultSpec(
        code=NETWORK_SLOW,
        severity=Severity.WARNING,
        title=Text("Network link is slow or half duplex", "Wolne lub półdupleksowe łącze sieciowe"),
        advice=Text(
            "10 Mbit/s or half duplex: video stutters. Check the cable and its plugs, and that both ends negotiate.",
            "10 Mbit/s lub półdupleks: obraz się zacina. Sprawdź przewód i wtyki oraz autonegocjację po obu stronach.",
        ),
        hold=600.0,
    ),
    FaultSpec(
        code=CERTIFICATE_ENDS,
        severity=Severity.WARNING,
        title=Text("Certificate of the device ends", "Kończy się certyfikat urządzenia"),
        advice=Text(
            "It ends within 30 days or has ended: what verifies it will refuse the device. Renew it on the device.",
            "Kończy się w ciągu 30 dni lub już wygasł: systemy, które go weryfikują, odrzucą urządzenie. Odnów go na urządzeniu.",
        ),
        hold=0.0,
        ticket=False,
    ),
    FaultSpec(
        code=CERTIFICATE_CHANGED,
        severity=Severity.INFO,
        title=Text("Device shows another certificate than before", "Urządzenie pokazuje inny certyfikat niż wcześniej"),
        advice=Text(
            "Nothing to do if somebody renewed it. Otherwise find out who changed it, or who answers in its place.",
            "Jeśli ktoś go odnowił, nie trzeba nic robić. W innym razie ustal, kto go zmienił lub kto odpowiada zamiast urządzenia.",
        ),
        hold=0.0,
        hits=1,
        clear=0.0,
        misses=1,
        ticket=False,
    ),
    FaultSpec(
        code=MQTT_LOST,
        severity=Severity.WARNING,
        title=Text("MQTT client is not connected", "Klient MQTT nie jest połączony"),
        advice=Text(
            "It is active and does not reach its broker. Check the broker, the account and the certificate that the device uses there.",
            "Jest aktywny i nie łączy się z brokerem. Sprawdź brokera oraz konto i certyfikat używane przez urządzenie.",
        ),
        hold=600.0,
        share_least=3,
    ),
    FaultSpec(
        code=PICTURE_BAD,
        severity=Severity.WARNING,
        title=Text("Picture is blocked, blurred, turned away or too dark", "Obraz zasłonięty, nieostry, przestawiony lub zbyt ciemny"),
        advice=Text(
            "The camera's own analysis says so. Look at the picture; clean the glass, cut what grows in front, straighten and focus the camera.",
            "Tak wynika z analizy w kamerze. Obejrzyj obraz; oczyść szybę, usuń przesłonę, ustaw i wyostrz kamerę.",
        ),
        hold=600.0,
    ),
    FaultSpec(
        code=SIP_UNREGISTERED,
        severity=Severity.CRITICAL,
        title=Text("SIP account is not registered", "Konto SIP nie jest zarejestrowane"),
        advice=Text(
            "It was registered before: now nobody is reached by the call button. Check the SIP server, the account and its password.",
            "Wcześniej było zarejestrowane: teraz przycisk wywołania nikogo nie połączy. Sprawdź serwer SIP, konto i hasło.",
        ),
        hold=300.0,
    ),
    FaultSpec(
        code=NOT_RECORDED,
        severity=Severity.CRITICAL,
        title=Text("Recorder does not take the picture", "Rejestrator nie pobiera obrazu"),
        advice=Text(
            "No stream plays to the recorder that this site named (recorder). Check the recorder, its channel and its account at the camera.",
            "Żaden strumień nie płynie do wskazanego rejestratora (recorder). Sprawdź rejestrator, jego kanał i konto w kamerze.",
        ),
        hold=600.0,
    ),
)

HEALTH_SHOWN_BY = {
    POWER_SHORT: ("power",),
    CLOCK_UNSYNCED: ("clock", "clock_config"),
    CLOCK_OFF: ("clock", "clock_config"),
    LIGHT_FAILED: ("lights",),
    SELF_TEST_FAILED: ("siren",),
    SIREN_MAINTENANCE: ("siren_maintenance",),
    CASING_OPEN: ("snmp_health",),
    VIDEO_LOST: ("snmp_health",),
    AUDIO_LOST: ("snmp_health",),
    LINE_TAMPERED: ("ports",),
    APPLICATION_STOPPED: ("applications", "image_health"),
    LICENSE_ENDS: ("applications",),
    NETWORK_SLOW: ("network",),
    CERTIFICATE_ENDS: ("certificate", "certificates"),
    CERTIFICATE_CHANGED: ("certificate",),
    MQTT_LOST: ("mqtt",),
    PICTURE_BAD: ("image_health",),
    SIP_UNREGISTERED: ("sip",),
    NOT_RECORDED: ("streams",),
}
"""Which facets' answers show a fault, as `faults.SHOWN_BY`."""
