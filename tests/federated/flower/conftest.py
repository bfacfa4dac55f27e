"""What the tests of the Flower federation share: a tiny app, and a deployment with TLS and authentication."""

from __future__ import annotations

import contextlib
import copy
import datetime
import functools
import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cervix_tf.run_dir import RunDir

SITES = "a,b,c"
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
            "TINY_EAGERLY": "1",
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

    def site(self, key: str, name: str | None = None) -> str:
        """Make a key, register it under a name (None: its own; empty: not at all), start its SuperNode; its number."""
        public, name, number = key_pair(self.folder / f"{key}.key"), key if name is None else name, ""
        if name:
            said = self.flwr("supernode", "register", str(public), "here", "--name", name)
            number = re.search(r"SuperNode (\d+) registered", said)[1]
        self.supernode(key, f"{key}.key")
        return number

    def status(self, number: str) -> str:
        """Whether a SuperNode is registered, online, offline or unregistered."""
        nodes = json.loads(self.flwr("supernode", "list", "here", "--format", "json"))["nodes"]
        return next(node["status"] for node in nodes if node["node-id"] == number)

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
def grid_of(tiny):
    """grid_of(config, away=()): a grid whose sites answer in this process; those in `away` are not connected."""
    from flwr.app import Context, Error, Message, RecordDict
    from flwr.proto.node_pb2 import NodeInfo
    from flwr.serverapp import Grid
    from flwr.supercore.task_identity import TaskIdentity

    class Here(Grid):
        def __init__(self, config, away=()):
            names = [name for name in config["sites"].split(",") if name not in away]
            self.nodes = {100 + at: name for at, name in enumerate(names)}
            self.contexts = {node: Context(1, node, {}, RecordDict(), config) for node in self.nodes}
            self.asked, self.heard = [], []
            TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1  # what a ServerApp's process has

        def get_nodes(self):
            return [NodeInfo(node_id=node, name=name) for node, name in self.nodes.items()]

        def get_node_ids(self):
            return list(self.nodes)

        def send_and_receive(self, messages, *, timeout=None):
            replies = []
            for message in messages:
                message.metadata.__dict__["_message_id"] = str(len(self.asked))
                node, config = message.metadata.dst_node_id, message.content.get("config", {})
                name, now = self.nodes[node], config.get("round", -1) + 1
                self.asked.append((now, name, message.metadata.message_type))
                if f"late:{name}:{now}" in self.contexts[node].run_config["fault"]:
                    continue
                try:
                    replies.append(tiny.client(copy.deepcopy(message), self.contexts[node]))  # it travels
                except Exception as error:  # as the SuperNode does
                    replies.append(Message(Error(0, f"{type(error)}:<'{error}'>"), reply_to=message))
            self.heard += replies
            return replies

        run = property()
        set_run = create_message = push_messages = pull_messages = None

    return Here


@pytest.fixture(scope="session")
def agreed():
    """agreed(**settings): what three sites agreed on for two rounds, without validation unless it is asked for."""
    from cervix_tf.federated.flower import federation_config

    def read(**settings):
        config = {"sites": SITES, "rounds": 2, "seed": 5, "wait": 0.0, "validation": "none", "patience": 0, **settings}
        return federation_config.read({key.replace("_", "-"): value for key, value in config.items()})

    return read


@pytest.fixture(scope="module")
def first(tiny, agreed):
    """The initial weights; while a module's tests run there is one network, built and traced once."""
    build = tiny.network
    tiny.network = functools.cache(build)
    yield tiny.trainer(agreed()).weights
    tiny.network = build


@pytest.fixture
def federation(tiny, first, agreed, grid_of, tmp_path):
    """federation(away=(), name="run", **settings): weights, record, history, grid of a federation in this process."""
    from cervix_tf.federated.flower.server import federate

    def run(away=(), name="run", fault="", node_config=None, nodes=None, **settings):
        config = {"sites": SITES, "rounds": 2, "seed": 5, "validation": "none", "fault": fault}
        config |= {key.replace("_", "-"): value for key, value in settings.items()}
        grid, out = grid_of(config, away), RunDir(tmp_path / name)
        grid.nodes |= nodes or {}
        for context in grid.contexts.values():
            context.node_config.update(node_config or {})
        trainer = tiny.trainer(agreed(**settings))
        trainer.network.set_weights(first)
        weights = federate(grid, trainer, agreed(**settings), out)
        return SimpleNamespace(weights=weights, record=record(out), history=pd.read_csv(out.history), grid=grid)

    run.out = lambda name="run": RunDir(tmp_path / name)
    run.record = lambda name="run": record(RunDir(tmp_path / name))
    return run


def record(out):
    """What a federation wrote about each site and round."""
    return pd.read_csv(out.federation, keep_default_na=False)


@pytest.fixture(scope="session")
def close():
    """close(weights, others, atol=1e-6): whether two lists of arrays are nearly equal."""

    def equal(weights, others, atol=1e-6):
        return all(np.allclose(a, b, rtol=0, atol=atol) for a, b in zip(weights, others, strict=True))

    return equal


@pytest.fixture(scope="session")
def start_deployment():
    """start_deployment(folder): a context with a deployment that ends with it."""
    return lambda folder: contextlib.closing(Deployment(folder))
