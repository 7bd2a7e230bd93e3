"""The neutral server: nginx and the SNMP responder play a recording back, on a core of their own, and count what each side asks.

Each side has a port of its own, and all else is the same. TLS sessions are not resumed: each connection is a whole handshake, for both.
"""

from __future__ import annotations

import hashlib
import ipaddress
import mmap
import os
import shutil
import socket
import ssl
import struct
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from bench.machine import SERVERS, stopped
from bench.recording import Recording

HOSTS = tuple(str(ipaddress.IPv4Address("127.80.1.1") + n) for n in range(8))
"""A client may open some 28,000 connections a minute to one address and port; with eight there is room."""

_SETTLE = 5.0
_LOG = "$connection $ssl_session_reused $request_length $bytes_sent $status $request_method $request_uri"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a server saw of one side. Bytes are those of HTTP (heads and bodies) and of SNMP messages."""

    requests: int = 0
    connections: int = 0
    handshakes: int = 0
    received: int = 0
    sent: int = 0
    datagrams: int = 0
    snmp_received: int = 0
    snmp_sent: int = 0
    refused: int = 0

    def per(self, cycles: int) -> dict[str, float]:
        return {name: round(getattr(self, name) / cycles, 3) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Where one side connects to. `sha256` is the certificate's, to be pinned."""

    name: str
    https: int
    snmp: int
    sha256: str
    log: Path


@dataclass(slots=True)
class Neutral:
    """The running servers. Counting is from a mark to now."""

    sides: dict[str, Side]
    counters: mmap.mmap
    _offsets: dict[str, tuple[int, tuple[int, int, int]]]

    def mark(self, name: str) -> None:
        """Count this side from here. Nothing of it may be under way."""
        self._offsets[name] = (self.sides[name].log.stat().st_size, self._datagrams(name))

    def counted(self, name: str, requests: int) -> Counted:
        """What this side asked since its mark; `requests` is how many HTTP requests it says it made, which the log is given time to show."""
        offset, before = self._offsets[name]
        deadline = time.monotonic() + _SETTLE
        while True:
            with self.sides[name].log.open("rb") as file:
                file.seek(offset)
                lines = file.read().decode().splitlines()
            if len(lines) >= requests or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        fields = [line.split(" ") for line in lines]
        now = self._datagrams(name)
        return Counted(
            requests=len(fields),
            connections=len({f[0] for f in fields}),
            handshakes=len({f[0] for f in fields if f[1] == "."}),
            received=sum(int(f[2]) for f in fields),
            sent=sum(int(f[3]) for f in fields),
            refused=sum(f[4] != "200" for f in fields),
            datagrams=now[0] - before[0],
            snmp_received=now[1] - before[1],
            snmp_sent=now[2] - before[2],
        )

    def _datagrams(self, name: str) -> tuple[int, int, int]:
        at = 24 * list(self.sides).index(name)
        first, second, third = struct.unpack("=QQQ", self.counters[at : at + 24])
        return first, second, third


def _ports(kind: socket.SocketKind, count: int) -> list[int]:
    """Ports that are free on every one of HOSTS."""
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            first = stack.enter_context(socket.socket(socket.AF_INET, kind))
            first.bind((HOSTS[0], 0))
            port = first.getsockname()[1]
            try:
                for host in HOSTS[1:]:
                    stack.enter_context(socket.socket(socket.AF_INET, kind)).bind((host, port))
            except OSError:
                continue
            found.append(port)
        return found


def _certificate(folder: Path) -> str:
    """An RSA certificate as most devices have, in `folder`; its SHA-256."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench.example.org")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
    signed = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30)).sign(key, hashes.SHA256())
    pem = signed.public_bytes(serialization.Encoding.PEM)
    (folder / "server.crt").write_bytes(pem)
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).hexdigest()


def _nginx(folder: Path, recording: Recording, sides: Sequence[Side]) -> str:
    """The configuration. Requests to one path are told apart by the length of their bodies, which nginx knows without reading them."""
    kinds: dict[str, str] = {}
    answers, sessions, tokens = [], [], []
    for number, played in enumerate(recording.played):
        if played.status == 404:
            continue
        if played.status != 200:
            raise RuntimeError(f"{played.method} {played.target} was answered {played.status}: the neutral server plays only 200 and 404")
        kind = kinds.setdefault(played.content_type, f"t{len(kinds)}")
        file = f"{'g' if played.guarded else 'o'}{number}.{kind}"
        (folder / "answers" / file).write_bytes(played.body)
        size = played.size if played.method == "POST" else ""
        answers.append(f'"{played.method} {played.target} {size}" "{file}";')
        for cookie in played.cookies:
            name, _, rest = cookie.partition("=")
            if name == "XSRF-TOKEN":  # such firmware gives a new one with each answer
                tokens.append(f'"{file}" "{name}=$request_id;{rest.partition(";")[2]}";')
            else:
                sessions.append(f'"{file}" "{cookie}";')
    basic = b64encode(f"{recording.user}:{recording.password}".encode()).decode()
    lines = "\n    ".join
    servers = "".join(
        f"""
  server {{
    {" ".join(f"listen {host}:{side.https} ssl backlog=4096;" for host in HOSTS)}
    access_log {side.log} counted;
    location / {{
      if ($refused) {{ add_header WWW-Authenticate 'Basic realm="bench"' always; return 401; }}
      if ($answer = "") {{ return 404; }}
      error_page 405 =200 $uri;
      add_header Set-Cookie $session;
      add_header Set-Cookie $token;
      rewrite ^ /$answer break;
    }}
  }}"""
        for side in sides
    )
    return f"""
daemon off; master_process on; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn; worker_rlimit_nofile 16384;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 8192; multi_accept on; }}
http {{
  log_format counted '{_LOG}';
  map_hash_bucket_size 512;
  map "$request_method $request_uri $content_length" $answer {{
    default "";
    {lines(answers)}
  }}
  map $answer $session {{
    default "";
    {lines(sessions)}
  }}
  map $answer $token {{
    default "";
    {lines(tokens)}
  }}
  map $http_authorization $known {{ default 0; "Basic {basic}" 1; }}
  map $answer$known $refused {{ default 0; "~^g.*0$" 1; }}
  types {{ {" ".join(f'"{kind}" {end};' for kind, end in kinds.items())} }}
  root {folder}/answers;
  server_tokens off; etag off; if_modified_since off; keepalive_requests 1000000; tcp_nodelay on; sendfile off; open_file_cache max=100;
  ssl_certificate {folder}/server.crt; ssl_certificate_key {folder}/server.key; ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache off; ssl_session_tickets off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  {servers}
}}
"""


def responder(folder: Path) -> Path:
    """The SNMP responder, compiled."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError("no C compiler (cc): run bench/setup.sh")
    program = folder / "responder"
    subprocess.run([compiler, "-std=gnu11", "-O2", "-o", str(program), str(Path(__file__).with_name("responder.c"))], check=True, timeout=60)
    return program


@contextmanager
def neutral(folder: Path, recording: Recording, names: Sequence[str]) -> Iterator[Neutral]:
    """The servers, with a port for each of these sides; stopped at the end. `folder` is theirs alone."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        raise RuntimeError("nginx is missing: run bench/setup.sh")
    (folder / "answers").mkdir(parents=True)
    sha256 = _certificate(folder)
    https, snmp = _ports(socket.SOCK_STREAM, len(names)), _ports(socket.SOCK_DGRAM, len(names))
    sides = [Side(name=name, https=https[n], snmp=snmp[n], sha256=sha256, log=folder / f"{name}.log") for n, name in enumerate(names)]
    (folder / "nginx.conf").write_text(_nginx(folder, recording, sides))
    table = "".join(f"{'.'.join(map(str, oid))} {binding.hex()}\n" for oid, binding in recording.objects)
    (folder / "table").write_text(table)
    with ExitStack() as stack:
        web = stack.enter_context(stopped([program, "-p", str(folder), "-c", str(folder / "nginx.conf")], folder / "nginx.out", cpus=SERVERS))
        snmpd = [str(responder(folder)), str(folder / "table"), str(folder / "counters"), ",".join(HOSTS), *(str(side.snmp) for side in sides)]
        agent = stack.enter_context(stopped(snmpd, folder / "responder.out", cpus=SERVERS))
        _wait(web, sides, folder)
        deadline = time.monotonic() + _SETTLE
        while "ready" not in (folder / "responder.out").read_text():
            if agent.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the SNMP responder did not start: {(folder / 'responder.out').read_text()}")
            time.sleep(0.02)
        with (folder / "counters").open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as counters:
            yield Neutral({side.name: side for side in sides}, counters, {})


def _wait(web: subprocess.Popen[bytes], sides: Sequence[Side], folder: Path) -> None:
    deadline = time.monotonic() + _SETTLE
    for side in sides:
        for host in HOSTS:
            while True:
                try:
                    socket.create_connection((host, side.https), timeout=1).close()
                    break
                except OSError:
                    if web.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"nginx did not start: {(folder / 'nginx.out').read_text()}") from None
                    time.sleep(0.02)
