"""Masks what a broker's message says about the account holder: account ids, PAN, and amounts of money.

The rest stays: what was refused and why, with prices, quantities and codes.
"""

import re

# `re` compiles them on first use: at the start of the service there is nothing to mask.
_NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?"
# The rest of a word, or of its letters where a number follows at once. Possessive and bounded: its time is linear in
# the length of the text.
_REST = r"(?:\w{0,64}+(?!\w)|[A-Za-z_]{0,64}+)"
_MONEY = (
    rf"required|requirement|(?:need|avail){_REST}|shortfall|balance|funds?|cash|margins?|collateral|exposure|utili[sz]ed|used"
    r"|worth|value|amount|m2m|mtm|p&l|pnl"
)
_BETWEEN = r"[\s:=(~]*+(?:(?:is|of|was|by|loss|limit|only|" + _MONEY + r")[\s:=(~]*+){0,3}"
_NAMED = rf"(?i)((?<![A-Za-z])(?:{_MONEY}){_BETWEEN}){_NUMBER}"
_CURRENCY = rf"(?i)(₹|(?<![A-Za-z])(?:Rs\.?|INR|rupees))([\s:=]*+){_NUMBER}"
_LARGE = r"(?<![\w.,])(?:\d{1,3}(?:,\d{2,3}){2,}(?:\.\d+)?|\d{6,}\.\d+)"  # no price has six digits
# One to three letters and four to seven digits (XA12345 and F12345 in Fyers' published samples).
_ACCOUNT = r"(?<![A-Za-z0-9])[A-Z]{1,3}\d{4,7}(?![A-Za-z0-9])"
_PAN = r"(?<![A-Za-z0-9])[A-Z]{5}\d{4}[A-Z](?![A-Za-z0-9])"


def masked_account(account: str) -> str:
    """Enough of an account's id for its holder to recognise it: "XA***5"."""
    return f"{account[:2]}***{account[-1]}" if len(account) > 4 else "***"


def without_private(text: str) -> str:
    """The text with account ids and amounts of money masked."""
    if not any(map(str.isdigit, text)):
        return text  # as in most rows of an order book
    for what, instead in ((_CURRENCY, r"\1\2***"), (_NAMED, r"\1***"), (_LARGE, "***"), (_PAN, "***")):
        text = re.sub(what, instead, text)
    return re.sub(_ACCOUNT, lambda found: masked_account(found[0]), text)
