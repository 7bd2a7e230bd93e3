"""The built wheel holds all that it needs and nothing else, and runs from another folder."""

from __future__ import annotations

import json
import re
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.packaging.built import PACKAGES, ROOT, Built, Installed, build, copy_tree, install, tree

NO_DATA = (".py", ".pyc")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(built.wheel, tmp_path_factory.mktemp("installed"))


def shipped() -> set[str]:
    """The files of our packages as they lie in the tree."""
    return {name for name in tree() if name.split("/")[0] in PACKAGES}


def test_the_top_of_the_wheel_is_our_five_packages_and_nothing_else(built: Built) -> None:
    assert {name.split("/")[0] for name in built.names()} == {*PACKAGES, f"latarnik-{PROJECT['version']}.dist-info"}


def test_every_file_of_our_packages_is_in_the_wheel_and_no_other(built: Built) -> None:
    assert {name for name in built.names() if ".dist-info/" not in name} == shipped()


def test_the_wheel_holds_each_kind_of_data_that_the_program_reads(built: Built) -> None:
    """The test before compares with the tree; this one would notice that the tree itself lost a kind."""
    kinds = {Path(name).suffix for name in built.names() if not name.endswith(NO_DATA) and ".dist-info/" not in name}
    assert kinds >= {".j2", ".yaml", ".yml", ".json", ".mako", ".typed"}
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(built.names())
    for needed in (r"agent/store/migrations/versions/.*\.py", r"agent/store/migrations/env\.py", r"agent/service/templates/create\.pl\.j2"):
        assert any(re.fullmatch(needed, name) for name in built.names()), needed
    for needed in ("config/catalogues/service_plans.yaml", "exporters/grafana/dashboards/fleet.json", "exporters/prometheus/rules/latarnik.yml"):
        assert needed in built.names()


def test_the_wheel_says_what_the_project_says(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = message_from_string(archive.read(f"{info}/METADATA").decode())
        points = archive.read(f"{info}/entry_points.txt").decode()
        wheel = archive.read(f"{info}/WHEEL").decode()
        assert f"{info}/licenses/LICENSE" in archive.namelist()
    assert (metadata["Name"], metadata["Version"], metadata["Requires-Python"]) == ("latarnik", PROJECT["version"], PROJECT["requires-python"])
    assert metadata["License-Expression"] == "Apache-2.0"
    wanted = {(r.name, r.specifier) for r in map(Requirement, PROJECT["dependencies"])}
    assert {(r.name, r.specifier) for r in map(Requirement, metadata.get_all("Requires-Dist") or [])} == wanted
    assert "latarnik = agent.cli:main" in points
    assert "Tag: py3-none-any" in wheel


def test_the_source_distribution_holds_the_tests_the_unit_and_the_lock_and_no_rubbish(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "requirements.lock", "Makefile", "LICENSE", "README.md", "systemd/latarnik.service", "tests/debian_tools.sh"} <= names
    assert shipped() <= names
    assert [name for name in names if re.search(r"(^|/)(\.venv|__pycache__|\.git|\.hypothesis|demo-out|dist)/|\.pyc$", name)] == []


def test_the_installed_program_is_the_wheels_and_not_the_checkout(installed: Installed) -> None:
    script = f"import importlib, json; print(json.dumps({{n: importlib.import_module(n).__file__ for n in {PACKAGES!r}}}))"
    done = installed.run("python", "-P", "-c", script)
    assert done.returncode == 0, done.stderr
    places = json.loads(done.stdout)
    assert all(Path(place).is_relative_to(installed.prefix) for place in places.values()), places


def test_the_installed_command_says_its_version(installed: Installed) -> None:
    done = installed.run("latarnik", "version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"latarnik {PROJECT['version']} (Python ")
    assert installed.run("python", "-P", "-m", "agent.cli", "version").stdout == done.stdout


def test_the_installed_command_checks_a_configuration_with_all_vendors_and_desks(installed: Installed) -> None:
    config = installed.elsewhere / "latarnik.yaml"
    config.write_text(
        "site: {name: test, timezone: Europe/Warsaw}\ncontracts:\n  c: {plan: partner-poly-plus}\n"
        "devices:\n  - {id: a, vendor: axis, host: 192.0.2.1}\n  - {id: b, vendor: poly, host: 192.0.2.2, contract: c}\n"
        "desks:\n  box: {type: folder, path: tickets}\n  post: {type: mail, to: [a@example.org], from: b@example.org, smtp: mail.example.org}\n"
    )
    done = installed.run("latarnik", "check-config", "--config", str(config))
    assert done.returncode == 0, done.stderr
    assert "2 devices, 2 desks, 1 contract" in done.stdout
    config.write_text(config.read_text().replace("axis", "acme"))
    assert installed.run("latarnik", "check-config", "--config", str(config)).returncode == 2


def test_the_installed_program_does_the_whole_demo_from_another_folder(installed: Installed) -> None:
    done = installed.run("latarnik", "demo", "--once", "--port", "0", timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    tickets = list((installed.elsewhere / "demo-out" / "tickets").glob("*/ticket.json"))
    assert len(tickets) == 2
    assert {json.loads(ticket.read_text())["state"] for ticket in tickets} == {"resolved"}


def test_the_installed_program_passes_tests_that_know_only_its_packages(installed: Installed, tmp_path: Path) -> None:
    copy_tree(tmp_path)
    for package in PACKAGES:  # so that only the installed ones are there
        (tmp_path / package).rename(tmp_path / f"not-{package}")
    done = installed.run("python", "-m", "pytest", f"--rootdir={tmp_path}", f"-c{tmp_path}/pyproject.toml", "-p", "no:cacheprovider", *few(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    (count,) = re.findall(r"^(\d+) passed", done.stdout, re.MULTILINE)
    assert int(count) > 100


def few(root: Path) -> list[str]:
    """Fast tests of every package: parsers, rules, configuration, service plans, exposition."""
    names = ("axis/test_parse.py", "poly/test_parse.py", "axis/test_rules.py", "config", "service", "prometheus/test_facts.py", "simulator/test_snmp_ber.py")
    return [str(root / "tests" / name) for name in names]
