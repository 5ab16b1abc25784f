"""The WSGI entry: puts runtime and web together. The server reads the environment here alone."""

import os
from typing import Any

from app.runtime import log
from app.runtime.config import Config
from app.runtime.starting import Starting

config = Config.from_env(os.environ)
log.configure(config.log_level, cloud_project=config.cloud_log)


def _set_up() -> Any:
    from app.runtime.bootstrap import bootstrap
    from app.web import create_app

    return create_app(bootstrap(config), config)


app = Starting(_set_up)
