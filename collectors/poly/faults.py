"""The fault codes of Poly devices, with what people are told."""

from __future__ import annotations

from agent.model import FaultSpec, Severity, Text

STATUS_DOWN = "poly.status.down"
PERIPHERAL_MISSING = "poly.peripheral.missing"
CAMERA_DOWN = "poly.camera.down"
MICROPHONE_NONE = "poly.microphone.none"
LAN_DEGRADED = "poly.lan.degraded"
UPDATING_LONG = "poly.updating_long"
NOT_READY = "poly.not_ready"
REBOOT_NEEDED = "poly.reboot_needed"
TIME_SERVER_DOWN = "poly.time_server.down"
LOG_FULL = "poly.log.full"
SESSIONS_FULL = "poly.sessions_full"

FAULTS = (
    FaultSpec(
        code=STATUS_DOWN,
        severity=Severity.CRITICAL,
        title=Text("The codec reports a part or service as down", "Kodek zgłasza niedziałającą część lub usługę"),
        advice=Text(
            "Open the codec's status page and look at the row named here. For cameras and microphones check cable and power of the part and restart "
            "the codec once; for a service check its server and the account the codec uses.",
            "Otwórz stronę stanu kodeka i sprawdź wskazany wiersz. W przypadku kamer i mikrofonów sprawdź kabel i zasilanie części oraz raz uruchom "
            "kodek ponownie; w przypadku usługi sprawdź jej serwer i konto używane przez kodek.",
        ),
        hold=300.0,
        hits=3,
    ),
    FaultSpec(
        code=PERIPHERAL_MISSING,
        severity=Severity.CRITICAL,
        title=Text("A part is no longer connected to the codec", "Część nie jest już podłączona do kodeka"),
        advice=Text(
            "Check the cable at both ends, and the power or PoE of the part; plug it in again, then restart the codec once. "
            "If the part comes up on another cable or codec, the fault is not in the part.",
            "Sprawdź kabel na obu końcach oraz zasilanie lub PoE części; podłącz ją ponownie, następnie raz uruchom kodek ponownie. "
            "Jeśli część działa na innym kablu lub z innym kodekiem, usterka nie leży w niej.",
        ),
        hold=300.0,
        hits=3,
    ),
    FaultSpec(
        code=CAMERA_DOWN,
        severity=Severity.CRITICAL,
        title=Text("A camera that worked is not connected", "Kamera, która działała, nie jest podłączona"),
        advice=Text(
            "Wake the room and look at its picture. Check the camera's cable and power, then restart the codec once.",
            "Wybudź system i sprawdź obraz. Sprawdź kabel i zasilanie kamery, następnie raz uruchom kodek ponownie.",
        ),
        hold=600.0,
        hits=2,
    ),
    FaultSpec(
        code=MICROPHONE_NONE,
        severity=Severity.CRITICAL,
        title=Text("The codec has no microphone", "Kodek nie widzi żadnego mikrofonu"),
        advice=Text(
            "Check the cables of table and ceiling microphones; restart the codec once. A bar without any microphone has a fault inside.",
            "Sprawdź kable mikrofonów stołowych i sufitowych; raz uruchom kodek ponownie. Wideobar bez mikrofonu ma usterkę wewnętrzną.",
        ),
        hold=1800.0,
        hits=3,
    ),
    FaultSpec(
        code=LAN_DEGRADED,
        severity=Severity.WARNING,
        title=Text("The codec's network port runs slow or in half duplex", "Port sieciowy kodeka działa wolno lub w trybie half-duplex"),
        advice=Text(
            "Change the cable, then the switch port; set both ends to negotiate automatically.",
            "Wymień kabel, potem port przełącznika; po obu stronach ustaw automatyczną negocjację.",
        ),
        hold=900.0,
        hits=3,
    ),
    FaultSpec(
        code=UPDATING_LONG,
        severity=Severity.WARNING,
        title=Text("A software update does not come to its end", "Aktualizacja oprogramowania nie dobiega końca"),
        advice=Text(
            "Do not cut the power before an hour has passed. Then restart the codec once and look at its version.",
            "Nie odłączaj zasilania przed upływem godziny. Następnie raz uruchom kodek ponownie i sprawdź jego wersję.",
        ),
        hold=2700.0,
        hits=3,
    ),
    FaultSpec(
        code=NOT_READY,
        severity=Severity.CRITICAL,
        title=Text("The codec does not finish starting", "Kodek nie kończy uruchamiania"),
        advice=Text(
            "Restart it once by its power supply. If it stays like this, it needs service.",
            "Uruchom go raz ponownie przez odłączenie zasilania. Jeśli stan się utrzyma, potrzebny jest serwis.",
        ),
        hold=1200.0,
        hits=3,
    ),
    FaultSpec(
        code=REBOOT_NEEDED,
        severity=Severity.INFO,
        title=Text("The codec waits for a restart", "Kodek czeka na ponowne uruchomienie"),
        advice=Text("Restart it when the room is free.", "Uruchom go ponownie, gdy sala będzie wolna."),
        hold=0.0,
        ticket=False,
    ),
    FaultSpec(
        code=TIME_SERVER_DOWN,
        severity=Severity.WARNING,
        title=Text("The codec does not reach its time server", "Kodek nie ma połączenia z serwerem czasu"),
        advice=Text(
            "Check the time server's name in the codec's settings and that the network lets NTP (UDP 123) pass. With a wrong clock, sign-in fails.",
            "Sprawdź nazwę serwera czasu w ustawieniach kodeka oraz przepuszczanie NTP (UDP 123) w sieci. Przy złym czasie logowanie nie działa.",
        ),
        hold=3600.0,
        hits=3,
    ),
    FaultSpec(
        code=LOG_FULL,
        severity=Severity.INFO,
        title=Text("The codec's log has reached its threshold", "Dziennik kodeka osiągnął swój próg"),
        advice=Text(
            "Nothing is broken: the oldest part is overwritten. Fetch the logs soon if something has to be looked into.",
            "Nic nie jest uszkodzone: najstarsza część jest nadpisywana. Pobierz dzienniki wkrótce, jeśli trzeba coś zbadać.",
        ),
        hold=0.0,
        ticket=False,
    ),
    FaultSpec(
        code=SESSIONS_FULL,
        severity=Severity.WARNING,
        title=Text("The codec gives no management session", "Kodek nie udostępnia sesji zarządzania"),
        advice=Text(
            "Find what else logs in to the codec and leaves sessions open (room controllers, scripts, browsers); its session list shows their addresses. "
            "If its web page does not answer either, restart the codec.",
            "Znajdź, co jeszcze loguje się do kodeka i zostawia otwarte sesje (sterowniki sal, skrypty, przeglądarki); ich adresy pokazuje lista sesji. "
            "Jeśli strona WWW także nie odpowiada, uruchom kodek ponownie.",
        ),
        hold=900.0,
        hits=2,
    ),
)

SHOWN_BY = {
    "device.identity_mismatch": ("system",),
    "device.rebooted": ("system",),
    "device.rebooting": ("system",),
    STATUS_DOWN: ("status", "use"),
    PERIPHERAL_MISSING: ("peripherals",),
    CAMERA_DOWN: ("cameras",),
    MICROPHONE_NONE: ("audio",),
    LAN_DEGRADED: ("system",),
    UPDATING_LONG: ("system",),
    NOT_READY: ("system",),
    REBOOT_NEEDED: ("system",),
    TIME_SERVER_DOWN: ("system",),
    LOG_FULL: ("status",),
    SESSIONS_FULL: ("system",),
}
"""Which facets' answers show a fault: the slowest of them gives the published detection time."""
