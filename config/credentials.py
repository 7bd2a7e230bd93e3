"""The secrets of the accounts: each from exactly one source, read at load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path as FilePath

from pydantic import BaseModel

from config.check import Report
from config.document import Path
from config.secrets import SecretError, SecretValue, read_secret_file, read_secret_variable
from config.settings import CredentialSettings, Snmp


def read_secrets(credentials: Mapping[str, CredentialSettings], report: Report, environ: Mapping[str, str]) -> None:
    """Read every secret; what is wrong with one is said at the key that names it."""
    for name, credential in credentials.items():
        path: Path = ("credentials", name)
        if credential.snmp is not None:
            if credential.username or credential.password_file or credential.password_env:
                report.error(path, "is both an account and SNMP access: make two credentials of it")
            _snmp(name, credential.snmp, (*path, "snmp"), report, environ)
        elif not credential.username:
            report.error(path, "needs a username, or snmp")
        else:
            credential._password = _secret(credential, "password", name, path, report, environ)  # noqa: SLF001 - filled here and nowhere else


def _snmp(name: str, snmp: Snmp, path: Path, report: Report, environ: Mapping[str, str]) -> None:
    third = snmp.version == 3
    wrong = ("community_file", "community_env") if third else ("user", "auth", "auth_key_file", "auth_key_env", "priv", "priv_key_file", "priv_key_env")
    for key in wrong:
        if getattr(snmp, key):
            report.error((*path, key), f"belongs to SNMP version {'1 or 2c' if third else '3'}, and this is version {'3' if third else snmp.version}")
    if not third:
        snmp._community = _secret(snmp, "community", name, path, report, environ)  # noqa: SLF001 - filled here and nowhere else
        return
    if not snmp.user:
        report.error(path, "SNMP version 3 needs a user")
    if snmp.priv and not snmp.auth:
        report.error((*path, "priv"), "encryption needs auth too: add auth and its key")
    for kind, fill in (("auth", "_auth_key"), ("priv", "_priv_key")):
        if getattr(snmp, kind):
            secret = _secret(snmp, f"{kind}_key", f"{name}.{kind}", path, report, environ)
            if secret.reveal() and len(secret.reveal()) < 8:
                report.error((*path, f"{kind}_key_file"), "the password is shorter than 8 characters, the least SNMP version 3 allows")
            setattr(snmp, fill, secret)
        else:
            for key in (f"{kind}_key_file", f"{kind}_key_env"):
                if getattr(snmp, key):
                    report.error((*path, key), f"needs {kind} too: the algorithm the key is for")


def _secret(section: BaseModel, key: str, credential: str, path: Path, report: Report, environ: Mapping[str, str]) -> SecretValue:
    """The secret from exactly one source: KEY_file, KEY_env, or the systemd credential of this name. Empty, and reported, where there is none."""
    file, variable = getattr(section, f"{key}_file"), getattr(section, f"{key}_env")
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    read_it: Callable[[], SecretValue]
    if file is not None and variable:
        report.error((*path, f"{key}_env"), f"stands beside {key}_file: give one of the two")
        return SecretValue("")
    if file is not None:
        place, read_it = (*path, f"{key}_file"), lambda: read_secret_file(file)
    elif variable:
        place, read_it = (*path, f"{key}_env"), lambda: read_secret_variable(variable, environ)
    elif directory and (FilePath(directory) / credential).exists():
        place, read_it = path, lambda: read_secret_file(FilePath(directory) / credential)
    else:
        report.error(path, f"needs {key}_file or {key}_env, or a systemd credential named {credential} (LoadCredential={credential}:...)")
        return SecretValue("")
    try:
        return read_it()
    except SecretError as error:
        report.error(place, str(error))
        return SecretValue("")
