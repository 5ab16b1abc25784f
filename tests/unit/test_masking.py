"""The broker's words keep what helps to act on them, and lose what is private: the account's id and its money."""

import time

import pytest

from app.adapters.fyers.line import Line
from app.adapters.fyers.words import clean
from app.adapters.http.transport import Transport
from app.adapters.paper import PaperToken
from app.domain.masking import masked_account, without_private
from app.login.token import Token


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "RMS: Margin Exceeds, Required: 123456.78, Available: 1234 for XA12345",
            "RMS: Margin Exceeds, Required: ***, Available: *** for XA***5",
        ),
        (
            "RED:Margin Shortfall:INR 2,78,806.74 Available:INR 1,774.51 for C-F12345 [FYERS_RISK_CUG]",
            "RED:Margin Shortfall:INR *** Available:INR *** for C-F1***5 [FYERS_RISK_CUG]",
        ),
        (
            "Required margin is 12,345.67 but available margin is 100",
            "Required margin is *** but available margin is ***",
        ),
        ("Required:123456.78Available:99", "Required:***Available:***"),
        ("Funds insufficient by Rs.500.25", "Funds insufficient by Rs.***"),
        ("Net worth 1,23,456.78; MTM loss of -1234.5", "Net worth ***; MTM loss of ***"),
        ("RMS:Cash:1234.00 | need ₹ 99999", "RMS:Cash:*** | need ₹ ***"),
        ("margin used 2,00,000.00/5,00,000.00", "margin used ***/***"),
        ("client DR00347, PAN ABCDE1234F", "client DR***7, PAN ***"),
    ],
)
def test_ids_and_amounts_are_masked(said: str, shown: str) -> None:
    assert clean(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "17182 Price beyond the mark-up",
        "Quantity should be a multiple of lot size 65, freeze quantity 1800",
        "Limit price 161.75 is outside 100.05 - 230.10",
        "NSE:NIFTY26NOV26000CE: stop loss 189.95 is not on the tick",
        "Order 26112000000001 is already cancelled",
        "BANKNIFTY26DECFUT at 57123.40",
        "Please provide valid token",
    ],
)
def test_what_helps_to_understand_a_refusal_stays(said: str) -> None:
    assert clean(said) == said


def test_an_accounts_name_is_masked_so_that_its_owner_knows_it() -> None:
    assert [masked_account(account) for account in ("XA12345", "F12345", "AB12")] == ["XA***5", "F1***5", "***"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("need1000 more", "need*** more"),
        ("available_bal2: 500", "available_bal2: ***"),
        ("availableMarginForTradingToday 1,234.50", "availableMarginForTradingToday ***"),
        ("needed margin available 77", "needed margin available ***"),
    ],
)
def test_an_amount_is_masked_behind_a_word_that_goes_on(said: str, shown: str) -> None:
    assert without_private(said) == shown


@pytest.mark.parametrize("account", ["AB12CD34", "1234567", "ABCDEFGH", "A1B2", "XA12345"])
def test_the_account_that_is_configured_is_masked_whatever_its_shape(account: str) -> None:
    line = Line("APP-200", PaperToken(), Transport(), "", "", account)
    said = clean(f"Blocked for {account}, C-{account.lower()} [{account.title()}]", line.secrets(Token("a.b.c")))
    assert said == "Blocked for ***, C-*** [***]"


@pytest.mark.parametrize(
    "said",
    [
        "margin:" * 600,
        "1," * 2000,
        "9" * 4096,
        "A1" * 2000,
        "available is of loss " * 200,
        ("need" * 20 + " ") * 50 + "1x",
        "need" * 1024,
        "need_" * 800 + "1",
        "avail:" * 680,
        "₹ " * 2000,
        "need" + ":" * 4000,
    ],
)
def test_no_words_cost_more_than_a_few_milliseconds(said: str) -> None:
    began = time.process_time()
    without_private(said[:4096])
    assert time.process_time() - began < 0.05
