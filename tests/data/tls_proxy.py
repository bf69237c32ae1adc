"""TLS in front of a plain server, with a certificate of a private CA: bytes go through as they are."""

import datetime as dt
import ipaddress
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _certificate(subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey,
                 extension: x509.ExtensionType) -> x509.Certificate:  # fmt: skip
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(_name(issuer), _name(subject), key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
    return builder.add_extension(extension, critical=True).sign(by, hashes.SHA256())


def private_ca(folder: Path) -> tuple[Path, Path]:
    """A CA's certificate, and certificate with key of a server at 127.0.0.1 that it signed; PEM files."""
    ours, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("our CA", ours, "our CA", ours, x509.BasicConstraints(ca=True, path_length=None))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = _certificate("server", server, "our CA", ours, address)
    ca_file, server_file, pem = folder / "ca.pem", folder / "server.pem", serialization.Encoding.PEM
    ca_file.write_bytes(authority.public_bytes(pem))
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server_file.write_bytes(signed.public_bytes(pem) + server.private_bytes(pem, *plain))
    return ca_file, server_file


@contextmanager
def tls_proxy(target: tuple[str, int], server_file: Path) -> Iterator[int]:
    """The port at which `target` is reached through TLS, for the length of a block."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_file)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), context.wrap_socket(self.request, server_side=True) as near, \
                    socket.create_connection(target) as far:  # fmt: skip
                back = threading.Thread(target=_pump, args=(far, near), daemon=True)
                back.start()
                _pump(near, far)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
