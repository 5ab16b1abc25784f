"""From a decoded body to an Alert. Unknown fields are ignored, and named in the Alert."""

from collections.abc import Mapping

from app.domain.alert import Alert, OptionType, Side, values
from app.domain.alert.secrets import Secrets
from app.domain.alert.strict_json import poison_in
from app.domain.alert.values import MAX_CONTEXT, MAX_TEXT
from app.domain.errors import Malformed

_ID_FIELDS = ("alert_id", "id", "idempotency_key")
_CONTEXT = ("strategy", "ticker", "exchange", "interval", "price", "comment")
_ORDER_FIELDS = ("symbol", "strikeprice", "optionType", "expiry", "action", "qty", "lots", "sl", "tp", "productType")
FIELDS = frozenset(("token", *_ORDER_FIELDS, *_ID_FIELDS, "timenow", "time", "order_id", *_CONTEXT))
_HEADER = "Idempotency-Key"
# The words of these fields are kept. Of the others only the meaning is, or a message that is checked before it is
# shown.
_KEPT = frozenset(("symbol", *_ID_FIELDS, _HEADER, "order_id", *_CONTEXT))
_NONE = Secrets()


def parse(
    document: Mapping[str, object],
    idempotency_key: str | None = None,
    needs_timenow: bool = False,
    secrets: Secrets = _NONE,
) -> Alert:
    """The alert that an authenticated document describes; `idempotency_key` is the header's, None without one.

    No secret in force may stand in a field but token, and no part of one in a text that is kept. Raises Malformed for
    anything missing, poisoned or meaningless, and for an alert without `timenow` where it is needed.
    """
    fields = _known_fields(document, idempotency_key, secrets)
    exchange, delayed, underlying = values.symbol_of(values.required(fields, "symbol"))
    if needs_timenow and "timenow" not in fields:
        raise Malformed("timenow", 'is missing, so the alert\'s age cannot be told; add "timenow": "{{timenow}}"')
    quantity, lots = values.whole(fields, "qty"), values.whole(fields, "lots")
    if quantity is not None and lots is not None:
        raise Malformed("lots", "qty and lots are both given; send one of them")
    return Alert(
        underlying=underlying,
        exchange=exchange,
        strike=values.strike(values.required(fields, "strikeprice")),
        option_type=values.one_of(fields, "optionType", OptionType),
        expiry=values.expiry(values.required(fields, "expiry")),
        side=values.one_of(fields, "action", Side),
        product=values.product(fields),
        quantity=quantity,
        lots=lots,
        stop_loss=values.level(fields, "sl"),
        take_profit=values.level(fields, "tp"),
        client_id=_client_id(fields, idempotency_key),
        fired_at=values.moment(fields, "timenow"),
        bar_time=values.moment(fields, "time"),
        bar=values.bar(fields),
        order_id=values.optional_text(fields, "order_id", MAX_TEXT),
        strategy=values.optional_text(fields, "strategy", MAX_TEXT),
        delayed=delayed or _says_delayed(fields),
        context=tuple((name, text) for name in _CONTEXT if (text := values.optional_text(fields, name, MAX_CONTEXT))),
        unknown=tuple(sorted(name[:64] for name in document if name not in FIELDS)),
    )


def _known_fields(
    document: Mapping[str, object], idempotency_key: str | None, secrets: Secrets
) -> Mapping[str, object]:
    """The fields that the gateway knows and that are not null. Raises Malformed."""
    _refuse_secret_elsewhere(document, idempotency_key, secrets)
    _refuse_poison(document)
    fields = {name: value for name, value in document.items() if name in FIELDS and value is not None}
    _refuse_placeholders(fields)
    return fields


def _refuse_poison(document: Mapping[str, object]) -> None:
    for name, value in document.items():
        if poison_in(name):
            raise Malformed("body", "a field's name has half of a character (a lone surrogate); send whole characters")
        if (problem := poison_in(value)) is not None:
            raise Malformed(name[:64], problem)


def _refuse_secret_elsewhere(document: Mapping[str, object], header: str | None, secrets: Secrets) -> None:
    """Any other field may end up in an answer, a log line, the ledger or a notice."""
    fields = {**document, _HEADER: header} if header is not None else {**document}
    fields.pop("token", None)
    texts = [value for value in fields.values() if isinstance(value, str)]
    if not secrets.may_show("\n".join([*fields, *texts])):
        return
    if any(map(secrets.whole_in, fields.keys() - FIELDS)):
        raise Malformed("body", "a field's name holds the secret; it belongs in token alone")
    for name, text in fields.items():
        if not isinstance(text, str):
            continue
        if secrets.whole_in(text):
            raise Malformed("body" if poison_in(name) else name[:64], "holds the secret; it belongs in token alone")
        if name in _KEPT and secrets.part_in(text):
            raise Malformed(name, "holds part of the secret, which belongs in token alone; use another text, or secret")


def _refuse_placeholders(fields: Mapping[str, object]) -> None:
    for name, value in fields.items():
        if isinstance(value, str) and ("{{" in value or "}}" in value):
            raise Malformed(
                name,
                "holds a placeholder that TradingView did not fill in; placeholders work in the alert's Message field "
                "only, and {{strategy.…}} only in alerts of a strategy",
            )


def _client_id(fields: Mapping[str, object], header: str | None) -> str | None:
    for name in _ID_FIELDS:
        if name in fields:
            return values.filled(name, fields[name])
    if header is None:
        return None
    if poison_in(header):
        raise Malformed(_HEADER, "has characters that are not text; send letters and digits")
    return values.filled(_HEADER, header)


def _says_delayed(fields: Mapping[str, object]) -> bool:
    exchange = values.optional_text(fields, "exchange", MAX_CONTEXT) or ""
    ticker = (values.optional_text(fields, "ticker", MAX_CONTEXT) or "").partition(":")
    return any(name.upper().endswith(("_DL", "_DLY")) for name in (exchange, ticker[0] if ticker[1] else ""))
