"""The WSGI entry: the only place where the server reads the environment."""

import os

from app import log
from app.bootstrap import bootstrap
from app.config import Config
from app.web import create_app

config = Config.from_env(os.environ)
log.configure(config.log_level)
app = create_app(bootstrap(config), config)
