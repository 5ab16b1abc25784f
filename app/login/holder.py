"""Only tokens of one account are used: FYERS_CLIENT_ID.

Fyers logs in anyone who has an account and knows the app's id, so a valid token need not be the owner's. `/profile`
names its account. The token's JWT names one too, but the gateway cannot verify its signature, so the JWT can refuse a
token and never admit one. A proved token has a seal, a MAC under the app's secret: other instances use it without
asking Fyers. About a token without one Fyers is asked before its use.
"""

import hmac
from dataclasses import replace

from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.masking import masked_account
from app.domain.secret import Secret
from app.login.ports import BrokerLogin, LoginRefused
from app.login.token import Token


class OtherAccount(LoginRefused):
    """Fyers says that a token is not the owner's. `account` is its account, masked."""

    def __init__(self, account: str) -> None:
        self.account = account
        super().__init__(f"this login is of the account {account}, which is not FYERS_CLIENT_ID; it was not taken")


class AccountHolder:
    def __init__(self, broker: BrokerLogin, client_id: str, secret: Secret) -> None:
        self._broker = broker
        self._client_id = client_id.upper()
        self._secret = secret

    @property
    def name(self) -> str:
        """The account, masked."""
        return masked_account(self._client_id)

    def proved(self, token: Token, deadline: Deadline) -> Token:
        """The token with its seal, after Fyers has named the owner's account.

        Raises OtherAccount, LoginRefused if Fyers says that the token is dead, and NotNow if Fyers names no account.
        """
        self._compare(token.claimed_account)
        account = self._broker.profile(token, deadline)
        if account is None:
            raise NotNow(Reason.NEEDS_LOGIN, "Fyers does not say whose login this is; nothing was sent")
        self._compare(account)
        return replace(token, seal=self._seal(token.access_token))

    def knows(self, token: Token) -> bool:
        """Whether it was proved before, by any instance. Makes no call."""
        return token.seal is not None and hmac.compare_digest(token.seal, self._seal(token.access_token))

    def _compare(self, account: str | None) -> None:
        if account is not None and account.strip().upper() != self._client_id:
            raise OtherAccount(masked_account(account.strip()))

    def _seal(self, access_token: str) -> str:
        return seal_of(access_token, self._client_id, self._secret)


def seal_of(access_token: str, client_id: str, secret: Secret) -> str:
    """The seal of a token that was proved to be that account's: 64 hex digits."""
    text = f"token of an account, 1, {client_id}, {access_token}"
    return hmac.digest(secret.reveal().encode(), text.encode(), "sha256").hex()
