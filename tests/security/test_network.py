"""What a box must not reach: any network, by any family, and the sockets of the host's services."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

UNREACHABLE = ("ENETUNREACH", "ECONNREFUSED", "EADDRNOTAVAIL", "ENOENT", "EPERM", "EACCES", "gaierror", "EAFNOSUPPORT")


@contextmanager
def listening(family: socket.AddressFamily, kind: socket.SocketKind, address: object) -> Iterator[tuple[object, list]]:
    """A real server on the host that notes who came; yields its address and the notes."""
    came: list[bytes] = []
    with socket.socket(family, kind) as server:
        server.bind(address)
        if kind == socket.SOCK_STREAM:
            server.listen()

        def serve() -> None:
            while not came or came[-1] != b"stop":
                if kind == socket.SOCK_STREAM:
                    connection, _ = server.accept()
                    with connection:
                        came.append(connection.recv(16))
                else:
                    came.append(server.recv(16))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname(), came
        finally:
            send(family, kind, server.getsockname(), b"stop")
            thread.join()


def send(family: int, kind: int, address: object, data: bytes) -> None:
    """Send the data there, from the host."""
    with socket.socket(family, kind) as client:
        client.connect(address)
        client.send(data)


SEND = """
import socket
with socket.socket(host["family"], host["kind"]) as client:
    address = host["address"]
    client.settimeout(5)
    client.connect(tuple(address) if isinstance(address, list) else address)
    client.send(b"from-inside")
"""


@pytest.mark.parametrize(
    ("family", "kind", "address"),
    [
        pytest.param(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0), id="tcp"),
        pytest.param(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0), id="udp"),
        pytest.param(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0), id="tcp6"),
        pytest.param(socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 0), id="udp6"),
        pytest.param(socket.AF_UNIX, socket.SOCK_STREAM, "{folder}/redis.sock", id="unix"),
        pytest.param(socket.AF_UNIX, socket.SOCK_DGRAM, "{folder}/log.sock", id="unix-datagram"),
        pytest.param(socket.AF_UNIX, socket.SOCK_STREAM, "\0atra-security-test", id="unix-abstract"),
    ],
)
def test_servers_of_the_host_are_out_of_reach(inside, tmp_path, family, kind, address):
    """A server that answers on the host hears nothing from a box, which has a loopback of its own."""
    address = address.format(folder=tmp_path) if isinstance(address, str) else address

    with listening(family, kind, address) as (bound, came):
        bound = bound.decode() if isinstance(bound, bytes) else bound
        host = {"family": int(family), "kind": int(kind), "address": bound}
        outcome = inside.outcome(SEND, host=host)
        send(family, kind, bound, b"from-outside")

    assert b"from-inside" not in came
    assert b"from-outside" in came
    assert outcome in UNREACHABLE or kind == socket.SOCK_DGRAM  # a datagram to nobody may leave without an error


def test_a_socket_in_the_tree_is_not_the_hosts(inside, tree):
    """A service's socket that lies in the repository itself does not come along into the copy."""
    with listening(socket.AF_UNIX, socket.SOCK_STREAM, str(tree / "s")) as (_, came):
        outcome = inside.outcome(SEND, host={"family": 1, "kind": 1, "address": "s"})

    assert outcome == "ENOENT"
    assert came == [b"stop"]


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import socket; socket.create_connection(('1.1.1.1', 53), 5)", id="address"),
        pytest.param("import socket; socket.create_connection(('2606:4700::1111', 53), 5)", id="address6"),
        pytest.param("import socket; socket.getaddrinfo('example.org', 80)", id="names"),
        pytest.param("import socket; socket.socket(2, 2).sendto(b'x', ('8.8.8.8', 53))", id="udp-dns"),
        pytest.param("import socket; socket.socket(2, 2).sendto(b'x', ('224.0.0.1', 53))", id="multicast"),
        pytest.param("import socket; socket.create_connection(('169.254.169.254', 80), 5)", id="cloud-metadata"),
    ],
)
def test_the_internet_is_out_of_reach(inside, code):
    """Addresses have no route and names no server."""
    assert inside.outcome(code) in UNREACHABLE


@pytest.mark.parametrize(
    ("family", "kind", "refusal"),
    [
        pytest.param("AF_INET", "SOCK_RAW", "EPERM", id="raw"),
        pytest.param("AF_NETLINK", "SOCK_RAW", "EAFNOSUPPORT", id="netlink"),
        pytest.param("AF_PACKET", "SOCK_RAW", "EAFNOSUPPORT", id="packet"),
        pytest.param("AF_VSOCK", "SOCK_STREAM", "EAFNOSUPPORT", id="vsock"),
        pytest.param("AF_ALG", "SOCK_SEQPACKET", "EAFNOSUPPORT", id="kernel-crypto"),
        pytest.param("AF_BLUETOOTH", "SOCK_RAW", "EAFNOSUPPORT", id="bluetooth"),
        pytest.param("AF_CAN", "SOCK_RAW", "EAFNOSUPPORT", id="can"),
        pytest.param("AF_QIPCRTR", "SOCK_DGRAM", "EAFNOSUPPORT", id="qualcomm"),
        pytest.param("AF_KEY", "SOCK_RAW", "EAFNOSUPPORT", id="ipsec-keys"),
    ],
)
def test_other_families_are_refused(inside, family, kind, refusal):
    """No socket of the families that reach past a network namespace or into rare parts of the kernel."""
    if not hasattr(socket, family):
        family = {"AF_KEY": "15", "AF_BLUETOOTH": "31"}[family]
    name = family if family.isdigit() else f"socket.{family}"

    assert inside.outcome(f"import socket; socket.socket({name}, socket.{kind}, 1)") == refusal


def test_io_uring_makes_no_calls_past_the_filter(inside):
    """The ring, through which system calls go unseen by the filter, cannot be made; an epoll can."""
    code = "call('io_uring_setup', 4, ctypes.create_string_buffer(120))"

    assert inside.outcome(code) == "EPERM"
    assert inside.outcome("import select; select.epoll()") == "done"


TALK_TO_ITSELF = """
import asyncio, socket, tempfile
a, b = socket.socketpair()
a.send(b"x")
assert b.recv(1) == b"x"

async def echo(reader, writer):
    writer.write(await reader.read(4))
    writer.close()

async def talk():
    for start, connect, where in (
        (asyncio.start_server, asyncio.open_connection, {"host": "127.0.0.1", "port": 5001}),
        (asyncio.start_server, asyncio.open_connection, {"host": "::1", "port": 5002}),
        (asyncio.start_unix_server, asyncio.open_unix_connection, {"path": "/tmp/s"}),
    ):
        async with await start(echo, **where):
            reader, writer = await connect(**where)
            writer.write(b"ping")
            assert await reader.read(4) == b"ping"

asyncio.run(talk())
assert socket.gethostbyname("localhost") == "127.0.0.1"
"""


def test_a_box_can_talk_to_itself(inside):
    """The harmless twin of all of these: servers and clients within one box, on loopback and on unix sockets."""
    assert inside.outcome(TALK_TO_ITSELF) == "done"
