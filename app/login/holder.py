"""Whose tokens are taken: those of one account, FYERS_CLIENT_ID.

Fyers logs anyone in who has an account and knows the app's id, so a good token is not yet the owner's. Whose it is,
`/profile` says. What a token's JWT says is the broker's word as well, but the gateway cannot verify its signature: it
can refuse a token and never admit one. A token that was proved bears a seal, a MAC under the app's secret, so that
another instance takes it without asking again; a token that came into the store in any other way has none, and is
asked about before it is used.
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
    """Fyers says that a token is not the owner's. `account` is whose it is, masked."""

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
        """The token with its seal, once Fyers has said that it is the owner's.

        Raises OtherAccount, LoginRefused where Fyers calls the token dead, and NotNow where it does not say whose it
        is: then it may not be used.
        """
        self._compare(token.claimed_account)
        account = self._broker.profile(token, deadline)
        if account is None:
            raise NotNow(Reason.NEEDS_LOGIN, "Fyers does not say whose login this is; nothing was sent")
        self._compare(account)
        return replace(token, seal=self._seal(token.access_token))

    def knows(self, token: Token) -> bool:
        """Whether it was proved before, here or on another instance. Makes no call."""
        return token.seal is not None and hmac.compare_digest(token.seal, self._seal(token.access_token))

    def _compare(self, account: str | None) -> None:
        if account is not None and account.strip().upper() != self._client_id:
            raise OtherAccount(masked_account(account.strip()))

    def _seal(self, access_token: str) -> str:
        return seal_of(access_token, self._client_id, self._secret)


def seal_of(access_token: str, client_id: str, secret: Secret) -> str:
    """The seal of a token that was proved to be that account's; 64 hex digits."""
    text = f"token of an account, 1, {client_id}, {access_token}"
    return hmac.digest(secret.reveal().encode(), text.encode(), "sha256").hex()
