"""The production settings of gunicorn, and everything a worker imports: one that was killed is back in milliseconds."""

import app.adapters.firestore
import app.adapters.fyers
import app.adapters.paper
import app.adapters.sqlite
import app.adapters.symbols
import app.runtime.bootstrap
import app.web  # noqa: F401
from app.runtime.server import *  # noqa: F403
