"""The services around the gateway: Google Cloud, and those that deliver a notice to a phone."""

from datetime import date

from app.facts.fact import Fact
from app.facts.source import Confidence, Source

GOOGLE_CERTS_URL = "https://www.googleapis.com/oauth2/v1/certs"  # {key id: X.509 certificate}
GOOGLE_ISSUERS = frozenset({"https://accounts.google.com", "accounts.google.com"})

_SEEN, _REVIEW = date(2026, 11, 20), date(2027, 5, 31)
_RUN = Source("Cloud Run's container contract, not read again", _SEEN, Confidence.LOW, date(2027, 1, 31))
_HEADERS = Source("headers that several third parties published", _SEEN, Confidence.MEDIUM, _REVIEW)
_AUTH = Source(
    "the package google-auth 2.62.2; developers.google.com/identity/openid-connect/openid-connect",
    _SEEN,
    Confidence.HIGH,
    _REVIEW,
)
_SCHEDULER = Source("Cloud Scheduler, HTTP targets", _SEEN, Confidence.HIGH, _REVIEW)
_PUBSUB = Source("Pub/Sub push, not read again", _SEEN, Confidence.LOW, date(2027, 1, 31))
_STORAGE = Source("Cloud Storage's quotas, as third parties quote them", _SEEN, Confidence.MEDIUM, _REVIEW)
_TTL = Source("Firestore's page on time to live", _SEEN, Confidence.HIGH, _REVIEW)
_TELEGRAM = Source("core.telegram.org/bots/api#sendmessage", _SEEN, Confidence.MEDIUM, _REVIEW)
_SLACK = Source("docs.slack.dev, incoming webhooks", _SEEN, Confidence.MEDIUM, _REVIEW)
_NTFY = Source("docs.ntfy.sh/publish", _SEEN, Confidence.MEDIUM, _REVIEW)

_SHAPES = "app/adapters/notify/http.py"

FACTS = (
    Fact("Cloud Run: time from SIGTERM to SIGKILL", "10 s", "app/runtime/server.py graceful_timeout", _RUN),
    Fact("Cloud Run: the peer's address", "the last of X-Forwarded-For", "app/web/intake.py peer_of", _HEADERS),
    Fact("Google: keys of its tokens", GOOGLE_CERTS_URL, "app/facts/services.py GOOGLE_CERTS_URL", _AUTH),
    Fact("Google: issuer of its tokens", "accounts.google.com", "app/facts/services.py GOOGLE_ISSUERS", _AUTH),
    Fact("Cloud Scheduler: deliveries of a task", "at least once", "app/web/tasks.py TASK", _SCHEDULER),
    Fact("Pub/Sub: wait for an acknowledgement", "10 s unless set", "app/web/tasks.py RELAY", _PUBSUB),
    Fact("Cloud Storage: writes of one object", "1 a second", "app/adapters/tokens.py _PAUSES", _STORAGE),
    Fact(
        "Firestore: deletion after the time to live", "within 24 h", "app/adapters/firestore/documents.py _KEPT", _TTL
    ),
    Fact("Telegram: longest message", "4,096 characters", f"{_SHAPES} _LONGEST", _TELEGRAM),
    Fact("Slack: characters of its own", "&, <, >", f"{_SHAPES} _slack", _SLACK),
    Fact("ntfy: longest message", "4,096 bytes", f"{_SHAPES} _LONGEST", _NTFY),
)
