"""Google's side of an OIDC token: keys that sign, and the address where their certificates are published."""

import datetime
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt

AUDIENCE = "https://gateway.example"
SCHEDULER = "scheduler@project.iam.gserviceaccount.com"


class Key:
    """A signing key with its certificate, as Google publishes them."""

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "certificates.invalid")])
        now = datetime.datetime.now(datetime.UTC)
        made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        made = made.serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        self.certificate = (
            made.not_valid_after(now + datetime.timedelta(days=1))
            .sign(key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
            .decode()
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.signer = crypt.RSASigner.from_string(private, key_id=key_id)  # type: ignore[no-untyped-call]  # google-auth has none there

    def token(self, **changes: Any) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": "https://accounts.google.com",
            "aud": AUDIENCE,
            "email": SCHEDULER,
            "email_verified": True,
            "iat": now,
            "exp": now + 3600,
            "sub": "1",
        }
        claims |= changes
        present = {name: value for name, value in claims.items() if value is not None}
        encoded: bytes = jwt.encode(self.signer, present)  # type: ignore[no-untyped-call]  # google-auth has none there
        return encoded.decode()


class Certificates(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/certs"
        self.body = b"{}"
        self.status = 200
        self.fetches = 0
        self.drip = 0.0

    def publish(self, *keys: Key) -> None:
        self.body = json.dumps({key.key_id: key.certificate for key in keys}).encode()


class _Answering(BaseHTTPRequestHandler):
    server: Certificates

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.fetches += 1
        self.send_response(self.server.status)
        self.send_header("Cache-Control", "public, max-age=3600")
        self.end_headers()
        try:
            if self.server.drip:
                for at in range(len(self.server.body)):
                    self.wfile.write(self.server.body[at : at + 1])
                    time.sleep(self.server.drip)
            else:
                self.wfile.write(self.server.body)
        except OSError:
            pass
