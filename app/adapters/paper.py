"""Paper trading: the Fyers adapter as it is, talking to the simulator on loopback."""

import logging

from app.domain.deadline import Deadline
from app.login.token import Token

log = logging.getLogger("gateway.paper")
_ANY = Token("paper")  # a simulator that accepts any token takes it


class PaperToken:
    """A `ports.TokenSource` without a login."""

    def token(self, deadline: Deadline) -> Token:  # noqa: ARG002 -- it is at hand
        return _ANY

    def refused(self, token: Token, message: str, deadline: Deadline) -> bool:  # noqa: ARG002
        log.error("the simulator does not take the paper token", extra={"said": message})
        return False

    def forbidden(self, message: str, deadline: Deadline) -> None:  # noqa: ARG002
        log.error("the simulator lets this app place no orders", extra={"said": message})
