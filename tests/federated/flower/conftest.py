"""What the tests of the Flower federation share: a tiny app, and a deployment with TLS and authentication."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


class Deployment:
    """The processes of one federation; `close` ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(HERE.parents[2]), os.environ.get("PYTHONPATH", "")]),
            "FLWR_HOME": str(folder / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self.processes: dict[str, subprocess.Popen] = {}
        self.certificates(folder)
        (folder / "flwr").mkdir()
        self.start(
            "superlink",
            *("flower-superlink", "--ssl-ca-certfile", "ca.crt", "--ssl-certfile", "server.crt"),
            *("--ssl-keyfile", "server.key", "--enable-supernode-auth", "--disable-runtime-dependency-installation"),
            *("--host", "127.0.0.1", "--port", str(self.port)),
        )
        (folder / "flwr" / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{self.port}"\n'
            f'root-certificates = "{folder / "ca.crt"}"\n'
        )
        self.until(lambda: "startup complete" in self.said("superlink"), 60)

    def start(self, name: str, *command: str) -> subprocess.Popen:
        """Start a process of its own process group, its words in a log."""
        log = (self.folder / f"{name}.log").open("w")
        self.processes[name] = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        return self.processes[name]

    def supernode(self, name: str, key: str) -> subprocess.Popen:
        """Start a SuperNode that shows a private key."""
        return self.start(name, "flower-supernode", "--root-certificates", "ca.crt", "--superlink",
                          f"127.0.0.1:{self.port}", "--auth-supernode-private-key", key, "--host", "127.0.0.1",
                          "--port", str(free_port()), "--max-retries", "2")  # fmt: skip

    def flwr(self, *arguments: str) -> str:
        """What a `flwr` command says."""
        done = subprocess.run(
            ["flwr", *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def said(self, name: str) -> str:
        """The log of a process."""
        return (self.folder / f"{name}.log").read_text()

    def site(self, name: str, registered: bool = True) -> None:
        """Make a site's key, register it, and start its SuperNode."""
        public = key_pair(self.folder / f"{name}.key")
        if registered:
            self.flwr("supernode", "register", str(public), "here", "--name", name)
        self.supernode(name, f"{name}.key")

    def until(self, true, seconds: float) -> None:
        """Wait for something to become true."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                logs = "\n".join(f"== {name}\n{self.said(name)[-3000:]}" for name in self.processes)
                raise AssertionError(f"nothing after {seconds} s\n{logs}")
            time.sleep(0.2)

    def kill(self, name: str) -> None:
        """SIGKILL for a process and its children."""
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()

    def certificates(self, folder: Path) -> None:
        """Make ca.crt, and server.crt and server.key for 127.0.0.1."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        folder.mkdir(exist_ok=True)
        authority, server = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        today = datetime.datetime.now(datetime.UTC)

        def certificate(subject, public_key, is_authority):
            made = (
                x509.CertificateBuilder()
                .subject_name(subject)
                .issuer_name(issuer)
                .public_key(public_key)
                .serial_number(x509.random_serial_number())
                .not_valid_before(today - datetime.timedelta(days=1))
                .not_valid_after(today + datetime.timedelta(days=1))
                .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
                .add_extension(
                    x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
                )
            )
            return made.sign(authority, hashes.SHA384()).public_bytes(serialization.Encoding.PEM)

        (folder / "ca.crt").write_bytes(certificate(issuer, authority.public_key(), True))
        named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        (folder / "server.crt").write_bytes(certificate(named, server.public_key(), False))
        (folder / "server.key").write_bytes(
            server.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def close(self) -> None:
        """End everything."""
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def key_pair(private: Path) -> Path:
    """Make a SuperNode's key pair; the path of the public key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP384R1())
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH,
                                          serialization.NoEncryption()))  # fmt: skip
    public = private.with_suffix(".pub")
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    )
    return public


@pytest.fixture(scope="session")
def tiny():
    """The tests' Flower app."""
    sys.path.insert(0, str(HERE / "app"))
    try:
        import tiny
    finally:
        sys.path.pop(0)
    return tiny


@pytest.fixture(scope="session")
def start_deployment():
    """start_deployment(folder): a context with a deployment that ends with it."""
    return lambda folder: contextlib.closing(Deployment(folder))
