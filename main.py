"""The WSGI entry: the only place where the server reads the environment."""

import gc
import os

from app import log
from app.bootstrap import bootstrap
from app.config import Config
from app.web import create_app

config = Config.from_env(os.environ)
log.configure(config.log_level)
app = create_app(bootstrap(config), config)
gc.freeze()  # what is loaded now stays for good; the collector need not walk it while an alert waits
