"""JSON answers about sound, cameras, calls and the calendar: pure functions of the box."""

from __future__ import annotations

from typing import Any

from simulator.poly.state import Box

_FAR_END = "hall@meet.example.org"


class Word(str):
    """A bare word: not JSON, though labelled as such, on firmware 3.x."""

    __slots__ = ()


def audio(box: Box) -> dict[str, Any]:
    return {"muteLocked": False, "muted": box.muted, "numOfMicsConnected": len(box.microphones), "volume": box.volume}


def microphones(box: Box) -> list[dict[str, Any]]:
    """GET /audio/microphones: `NA` stands for no value, `mute` is 0 or 1."""
    return [
        {
            "hwVersion": "NA",
            "mute": int(box.muted),
            "number": number,
            "parentID": 0,
            "state": "MIC_STATE_GREEN",
            "swVersion": "NA",
            "type": kind,
            "typeInString": words,
        }
        for number, (kind, words) in enumerate(box.microphones)
    ]


def cameras(box: Box) -> list[dict[str, Any]]:
    """GET /cameras/near/all: twelve slots, most of them never connected, which is normal. A sleeping system lets go of its camera."""
    awake = box.camera_works and not box.has("asleep")
    slots = [_slot(index, name, source="SRC_PEOPLE") for index, name in enumerate(("Main", "HDCI 2", "HDCI 3", "USB 1", "USB 2"), 1)]
    slots += [_slot(index, name, source="SRC_CONTENT") for index, name in enumerate(("HDMI Input", "PPCIP", "VIRTDEV1", "VIRTDEV2", "VIRTDEV3"), 6)]
    slots += [_slot(index, f"VIRTDEV{index - 7}", source="SRC_PEOPLE") for index in (11, 12)]
    model, slot = ("PolyStudioE70", slots[3]) if not box.profile.camera else (box.profile.camera, slots[0])
    if box.profile.camera or box.e70_there:
        slot |= {"model": model, "connected": awake, "trackable": True, "ptzcapable": True, "selected": True, "hasPan": True, "hasTilt": True, "hasZoom": True}
    return slots


def _slot(index: int, name: str, *, source: str) -> dict[str, Any]:
    return {
        "cameraIndex": index,
        "connected": False,
        "hasFocus": False,
        "hasPan": False,
        "hasTilt": False,
        "hasZoom": False,
        "iconName": "",
        "model": "",
        "name": name,
        "nearCamera": True,
        "ptzcapable": False,
        "selected": False,
        "sessionID": "",
        "sourceType": source,
        "stateAutoFocus": False,
        "stateFreeze": False,
        "stateMarker": False,
        "trackable": False,
    }


def content_status(box: Box) -> str:
    """GET /cameras/contentstatus: a bare word on 3.x, a JSON string later."""
    return "CONTENT_IDLE" if box.firmware.quoted_words else Word("CONTENT_IDLE")


def collaboration(box: Box) -> dict[str, Any]:
    if box.firmware.old_collaboration:
        return {"id": "Local Session", "state": "INACTIVE"}
    return {"SessionId": "Local Session", "sessionState": "INACTIVE"}


def calendar(box: Box) -> dict[str, Any]:
    return {box.firmware.calendar_key: "DISABLED"}


def call_log(_box: Box) -> list[dict[str, Any]]:
    return [
        {
            "address": _FAR_END,
            "callType": "SIP",
            "callerId": _FAR_END,
            "causeCode": 16,
            "connected": False,
            "duration": 0,
            "endTime": 1_767_610_800_000,
            "name": "hall",
            "outgoingCall": False,
            "precedenceLevel": "",
            "rate": 64,
            "rowId": 100,
            "startTime": 1_767_610_800_000,
            "transportType": "voice_sip",
            "type": "MISSED",
        }
    ]


def call_id(box: Box) -> str | int:
    """The running call's id: a string on 3.x, a number later."""
    return 0 if box.firmware.integer_ids else "0"


def conferences(box: Box) -> list[dict[str, Any]]:
    """GET /conferences: nothing when idle; in a call the call and beside it the placeholder PENDING, which is no call."""
    if box.call_since is None:
        return []
    return [conference(box), {"id": "PENDING", "isActive": False, "isPendingConference": True, "connections": []}]


def conference(box: Box) -> dict[str, Any]:
    """The running call. Must only be asked for when there is one."""
    assert box.call_since is not None
    return {
        "capabilities": {"canBlastDial": False, "canMakeAudioCall": True, "canMakeVideoCall": True},
        "connections": connections(box),
        "duration": int((box.clock.now() - box.call_since).total_seconds()),
        "id": call_id(box),
        "isActive": True,
        "isPendingConference": False,
        "startTime": int(box.call_since.timestamp() * 1000),
        "terminals": terminals(box),
    }


def connections(box: Box) -> list[dict[str, Any]]:
    return [
        {
            "address": _FAR_END,
            "callType": "SIP",
            "causeCode": 0,
            "encrypted": True,
            "id": call_id(box),
            "incoming": False,
            "mediaType": "VIDEO",
            "rate": 1920,
            "state": "CONNECTED",
            "type": "MCU",
        }
    ]


def terminals(_box: Box) -> list[dict[str, Any]]:
    return [{"address": _FAR_END, "muted": False, "name": "hall", "systemID": "Example bridge 1.0"}]


def media_stats(_box: Box) -> list[dict[str, Any]]:
    """GET /conferences/{id}/mediastats: field names from a client, no recording; what was sent has no jitter, hence NA."""
    return [
        {
            "actualBitRate": 1728 if kind == "VIDEO" else 48,
            "actualFrameRate": 30 if kind == "VIDEO" else 0,
            "jitter": 4 if direction == "RX" else "NA",
            "mediaAlgorithm": "H.264" if kind == "VIDEO" else "G.722.1C",
            "mediaDirection": direction,
            "mediaFormat": "1920x1080" if kind == "VIDEO" else "",
            "mediaType": kind,
            "packetLoss": 0,
            "percentPacketLoss": 0.0,
        }
        for direction in ("RX", "TX")
        for kind in ("AUDIO", "VIDEO")
    ]


def call_capabilities(_box: Box) -> dict[str, Any]:
    return {"canBlastDial": False, "canMakeAudioCall": True, "canMakeVideoCall": True}
