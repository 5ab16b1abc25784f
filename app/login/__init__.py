"""The daily login: one tap by the owner, an early notice if it is missing, and no order with a dead token."""

from app.login.current import CurrentToken, LoginState, LoginStatus
from app.login.holder import AccountHolder, OtherAccount
from app.login.links import LINK_LASTS, PHONE_LINK_LASTS, LinkRefused, LoginLinks
from app.login.login import Login, LoginResult

__all__ = [
    "LINK_LASTS",
    "PHONE_LINK_LASTS",
    "AccountHolder",
    "CurrentToken",
    "LinkRefused",
    "Login",
    "LoginLinks",
    "LoginResult",
    "LoginState",
    "LoginStatus",
    "OtherAccount",
]
