"""Whether a vendor would take this report, and what is missing: promise 6.

An internal desk takes everything. A vendor's desk waits until `missing` is empty; nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

from agent.model import Case, CheckAnswer, Contract, Text
from config.plans import Plan

MISSING: Mapping[str, Text] = MappingProxyType(
    {
        "plan": Text("a service plan that is known", "znany plan serwisowy"),
        "serial": Text("the serial number of the device that failed", "numer seryjny urządzenia, które uległo awarii"),
        "contract_number": Text("the number of the service contract", "numer umowy serwisowej"),
        "contract_expired": Text("a valid contract: the one on file has ended", "ważna umowa: zapisana umowa wygasła"),
        "contract_not_started": Text("a valid contract: the one on file has not started yet", "ważna umowa: zapisana umowa jeszcze nie obowiązuje"),
        "model_not_covered": Text("a plan that covers this model", "plan serwisowy obejmujący ten model"),
        "purchase_date": Text("the day of purchase", "data zakupu"),
        "proof_of_purchase": Text("a proof of purchase", "dowód zakupu"),
        "contact": Text("a contact with telephone or mail address", "osoba kontaktowa z numerem telefonu lub adresem e-mail"),
        "address": Text("the address a replacement is delivered to", "adres dostawy sprzętu zastępczego"),
        "model": Text("the model", "model urządzenia"),
        "firmware": Text("the software version", "wersja oprogramowania"),
        "logs_or_reason": Text("logs, or the reason why there are none", "logi z urządzenia albo powód ich braku"),
        "checklist": Text(
            "answers to the vendor's checklist that only a person can give", "odpowiedzi na pytania listy kontrolnej, których może udzielić tylko człowiek"
        ),
    }
)


def reported_serial(case: Case) -> str:
    """Serial number of what broke: of the part where it has one of its own (a camera on its codec), else of the device."""
    part = case.fault.part
    return part.serial if part is not None and part.serial else case.identity.serial


def missing(case: Case, plan: Plan | None, role: str, *, at: datetime | None = None, asked: Collection[str] = ()) -> tuple[str, ...]:
    """What keeps this case from a desk of this role ('internal' or 'vendor'), as words of MISSING; empty: nothing.

    `at`: the time the contract must be valid at; by default that of the case. `asked`: requirements beyond the plan's that the vendor asked for
    (Axis: 'proof_of_purchase'). Without a plan nobody knows what a vendor wants: 'plan'.
    """
    if role != "vendor":
        return ()
    if plan is None:
        return ("plan",)
    wanted = dict.fromkeys((*plan.requires, *sorted(asked)))
    return tuple(dict.fromkeys(word for requirement in wanted for word in _lacks(requirement, case, plan, at)))


def advisable(case: Case, plan: Plan, *, at: datetime | None = None) -> tuple[str, ...]:
    """What would make the report better, as words of MISSING. It holds nothing up."""
    words = dict.fromkeys(word for requirement in plan.asks_for for word in _lacks(requirement, case, plan, at))
    if plan.covers(reported_model(case)) is False:
        words["model_not_covered"] = None
    return tuple(word for word in words if word not in missing(case, plan, "vendor", at=at))


def reported_model(case: Case) -> str:
    """Model of what broke, in the way of `reported_serial`."""
    part = case.fault.part
    return part.model if part is not None and part.serial else case.identity.model


def sentence(words: Collection[str], language: str) -> str:
    """'Missing before the vendor can take this report: ...' in the language; '' when nothing is."""
    if not words:
        return ""
    listed = "; ".join(MISSING.get(word, Text(word, word))[language] for word in words)
    return Text(f"Missing before the vendor can take this report: {listed}.", f"Do przyjęcia zgłoszenia przez serwis brakuje: {listed}.")[language]


def _lacks(requirement: str, case: Case, plan: Plan, at: datetime | None) -> tuple[str, ...]:
    """The words for what is not there of one requirement."""
    if requirement == "contract_valid":
        return _validity(case.contract, (at or case.opened_at).astimezone(ZoneInfo(plan.hours.timezone)).date())
    present = _PRESENT.get(requirement)
    return () if present is not None and present(case) else (requirement,)


def _validity(contract: Contract | None, day: date) -> tuple[str, ...]:
    """Both days belong to the contract; where a day is not known nothing is claimed."""
    if contract is None:
        return ()
    if contract.ends is not None and day > contract.ends:
        return ("contract_expired",)
    if contract.starts is not None and day < contract.starts:
        return ("contract_not_started",)
    return ()


def _of_contract(read: Callable[[Contract], object]) -> Callable[[Case], bool]:
    return lambda case: case.contract is not None and bool(read(case.contract))


_PRESENT: Mapping[str, Callable[[Case], bool]] = MappingProxyType(
    {
        "serial": lambda case: bool(reported_serial(case).strip()),
        "contract_number": _of_contract(lambda contract: contract.number.strip()),
        "purchase_date": _of_contract(lambda contract: contract.purchased),
        "proof_of_purchase": _of_contract(lambda contract: contract.proof_of_purchase),
        "contact": _of_contract(lambda contract: contract.contact_phone or contract.contact_email),
        "address": _of_contract(lambda contract: contract.address.strip()),
        "model": lambda case: bool(reported_model(case)),
        "firmware": lambda case: bool(case.identity.firmware),
        "logs_or_reason": lambda case: bool(case.evidence) or bool(case.evidence_note),
        "checklist": lambda case: all(check.answer is not CheckAnswer.NOT_CHECKED or check.detail.en for check in case.checklist),
    }
)
