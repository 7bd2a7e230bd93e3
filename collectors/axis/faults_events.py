"""What only the event stream of an Axis device tells, in words for people."""

from __future__ import annotations

from agent.model import FaultSpec, Severity, Text

PTZ_FAILED = "axis.ptz.failed"
TAMPERED = "axis.picture.tampered"
SCENE_CHANGED = "axis.picture.scene_changed"
SHOCK = "axis.shock"
POWER_OVERLOAD = "axis.power.overload"
SELF_TEST_FAILED = "axis.self_test.failed"
RECORDING_STOPPED = "axis.recording.stopped"
DAY_NIGHT_STUCK = "axis.day_night.stuck"
LINE_TAMPERED = "axis.io.line_tampered"

EVENT_FAULTS = (
    FaultSpec(
        code=PTZ_FAILED,
        severity=Severity.CRITICAL,
        title=Text("Pan-tilt-zoom drive does not work", "Napęd PTZ nie działa"),
        advice=Text(
            "The device reports an error of its drive, or that it does not get ready. Restart it once; check the power supply and ice or dirt on the head.",
            "Urządzenie zgłasza błąd napędu lub brak jego gotowości. Uruchom je raz ponownie; sprawdź zasilanie oraz lód i zabrudzenia głowicy.",
        ),
        hold=300.0,
    ),
    FaultSpec(
        code=TAMPERED,
        severity=Severity.WARNING,
        title=Text("Somebody or something blocks the picture", "Obraz zasłonięty lub celowo zakłócony"),
        advice=Text(
            "The camera sees that its view is blocked, turned away or out of focus. Look at the picture; go there if it is not clear.",
            "Kamera wykryła zasłonięcie, obrócenie lub rozogniskowanie. Obejrzyj obraz; jeśli przyczyna nie jest jasna, sprawdź na miejscu.",
        ),
        hold=0.0,
        hits=1,
        clear=0.0,
        misses=1,
        ticket=False,
    ),
    FaultSpec(
        code=SCENE_CHANGED,
        severity=Severity.WARNING,
        title=Text("Camera looks elsewhere than before", "Kamera obserwuje inny widok niż wcześniej"),
        advice=Text(
            "Its view has changed as a whole. Compare the picture with an older one and straighten the camera.",
            "Zmienił się cały obserwowany widok. Porównaj obraz ze starszym i ustaw kamerę ponownie.",
        ),
        hold=300.0,
        ticket=False,
    ),
    FaultSpec(
        code=SHOCK,
        severity=Severity.INFO,
        title=Text("Device was hit", "Wykryto uderzenie w urządzenie"),
        advice=Text("Look at the picture and at the recording of that moment.", "Obejrzyj obraz i nagranie z tej chwili."),
        hold=0.0,
        hits=1,
        clear=0.0,
        misses=1,
        ticket=False,
    ),
    FaultSpec(
        code=POWER_OVERLOAD,
        severity=Severity.CRITICAL,
        title=Text("What the device feeds draws too much power", "Przekroczony limit mocy urządzeń zasilanych z urządzenia"),
        advice=Text(
            "Take off what hangs on its power output, one after the other, and check the cable for a short circuit.",
            "Odłączaj kolejno urządzenia od wyjścia zasilania i sprawdź, czy w przewodzie nie ma zwarcia.",
        ),
        hold=60.0,
    ),
    FaultSpec(
        code=SELF_TEST_FAILED,
        severity=Severity.CRITICAL,
        title=Text("Device failed its own test of siren, light or speaker", "Test własny syreny, światła lub głośnika zakończony błędem"),
        advice=Text(
            "Run the test again from its web page; if it fails again, have the device exchanged.",
            "Powtórz test ze strony WWW urządzenia; jeśli znów się nie powiedzie, zgłoś urządzenie do wymiany.",
        ),
        hold=0.0,
    ),
    FaultSpec(
        code=RECORDING_STOPPED,
        severity=Severity.CRITICAL,
        title=Text("Device no longer records on its storage", "Urządzenie nie nagrywa na własny nośnik"),
        advice=Text(
            "It should record all the time (expect_recording) and says that it does not. Check the recording rule and the storage.",
            "Powinno nagrywać stale (expect_recording), a zgłasza brak nagrywania. Sprawdź regułę nagrywania i nośnik.",
        ),
        hold=600.0,
    ),
    FaultSpec(
        code=DAY_NIGHT_STUCK,
        severity=Severity.WARNING,
        title=Text("Day and night mode no longer changes", "Tryb dzień/noc nie przełącza się"),
        advice=Text(
            "It should change with daylight (expect_day_night). If the filter is set to automatic, it is stuck or its sensor sees nothing.",
            "Powinien zmieniać się ze światłem dziennym (expect_day_night). Jeśli filtr jest w trybie automatycznym, zaciął się lub czujnik nie działa.",
        ),
        hold=0.0,
    ),
    FaultSpec(
        code=LINE_TAMPERED,
        severity=Severity.CRITICAL,
        title=Text("Line of a supervised input is cut or shorted", "Przerwa lub zwarcie linii wejścia nadzorowanego"),
        advice=Text(
            "Check the cable and the end-of-line resistors of the input named.",
            "Sprawdź przewód i rezystory parametryczne wskazanego wejścia.",
        ),
        hold=60.0,
    ),
)
