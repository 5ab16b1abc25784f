"""Reads settings one by one and collects every fault."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from app.domain.calendar import Session
from app.domain.errors import Malformed
from app.domain.secret import Secret

MIN_SECRET = 16
DEFAULT_HOST = "127.0.0.1"

_Value = TypeVar("_Value")
_Word = TypeVar("_Word", bound=StrEnum)


class Reader:
    """Reads single settings. `faults` lists what is wrong with each, in the order of reading."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.faults: list[str] = []

    def text(self, name: str) -> str | None:
        return self._environ.get(name, "").strip() or None

    def fault(self, name: str, problem: str) -> None:
        self.faults.append(f"{name}: {problem}")

    def convert(self, name: str, default: _Value, convert: Callable[[str], _Value], wanted: str) -> _Value:
        text = self.text(name)
        if text is None:
            return default
        try:
            return convert(text)
        except (ValueError, Malformed):
            self.fault(name, f"must be {wanted}")
            return default

    def word(self, name: str, words: type[_Word], default: _Word) -> _Word:
        return self.convert(name, default, lambda text: words(text.lower()), " or ".join(words))

    def listed(self, name: str, default: str) -> tuple[str, ...]:
        return tuple(_parts(self.text(name) or default))

    def secret(self, name: str, shortest: int = 1) -> Secret | None:
        """A secret from NAME, or from the file that NAME_FILE names."""
        text = self.text(name)
        if (path := self.text(f"{name}_FILE")) is not None:
            if text is not None:
                self.fault(name, f"is given twice, here and as {name}_FILE; keep one")
            try:
                text = Path(path).read_text(encoding="utf-8").strip() or None
            except (OSError, UnicodeDecodeError):
                self.fault(f"{name}_FILE", "names a file that cannot be read")
        if text is not None and len(text) < shortest:
            self.fault(name, f"must have at least {shortest} characters")
        return Secret(text) if text is not None else None

    def webhook_secrets(self) -> tuple[Secret, ...]:
        joined = self.secret("WEBHOOK_SECRET_TOKEN")
        secrets = tuple(Secret(part.strip()) for part in joined.reveal().split(",")) if joined else ()
        if not secrets:
            self.fault("WEBHOOK_SECRET_TOKEN", "is missing; make one of at least 16 characters and put it in the alert")
        elif len(secrets) > 2:
            self.fault("WEBHOOK_SECRET_TOKEN", "has more than two secrets; two are for the time of a rotation")
        elif any(len(secret.reveal()) < MIN_SECRET for secret in secrets):
            self.fault("WEBHOOK_SECRET_TOKEN", f"each secret must have at least {MIN_SECRET} characters")
        return secrets

    def notification_urls(self) -> tuple[Secret, ...]:
        joined = self.secret("NOTIFICATION_URL")
        urls = _parts(joined.reveal()) if joined else []
        if any(split(url).scheme not in ("http", "https") or not split(url).hostname for url in urls):
            self.fault("NOTIFICATION_URL", "must be http or https addresses, separated by commas")
        return tuple(Secret(url) for url in urls)  # ntfy topics and Telegram addresses are secrets

    def url(self, name: str, ending: str) -> str | None:
        """An address of the broker's API: https, or plain http on loopback only."""
        text = self.text(name)
        if text is None:
            return None
        parts = split(text.rstrip("/"))
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            self.fault(name, "plain http is allowed to loopback only; use https")
        elif parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            self.fault(name, f"must be an address such as https://api-t1.fyers.in{ending}")
        elif not parts.path.endswith(ending):
            self.fault(name, f"must end in {ending}")
        return text.rstrip("/")

    def matching(self, name: str, pattern: str, wanted: str, default: str = "") -> str:
        text = self.text(name) or default
        if text and re.fullmatch(pattern, text, re.ASCII) is None:
            self.fault(name, f"must be {wanted}")
        return text

    def ledger_url(self) -> str:
        pattern, wanted = "sqlite:///.+|firestore://[^/]+(/[^/]+)?", "sqlite:///path or firestore://PROJECT/DATABASE"
        return self.matching("LEDGER_URL", pattern, wanted, "sqlite:///data/ledger.db")

    def one_of(self, name: str, words: Sequence[str], default: str) -> str:
        wanted = f"{', '.join(words[:-1])} or {words[-1]}"
        return self.convert(name, default, lambda text: words[words.index(text.upper())], wanted)

    def every(self, name: str, default: str, convert: Callable[[str], _Value], wanted: str) -> frozenset[_Value]:
        """The values between commas."""

        def converted(text: str) -> frozenset[_Value]:
            return frozenset(map(convert, _parts(text)))

        return self.convert(name, converted(default), converted, wanted)

    def market_hours(self) -> Session | None:
        """Hours that override the dated table; None if there are none, and for `always`."""

        def convert(text: str) -> Session | None:
            return None if text == "always" else _session(text.removesuffix("IST").strip())

        return self.convert("MARKET_HOURS", None, convert, "empty, always, or two times IST such as 09:15-15:40")

    def time_of_day(self, name: str) -> time | None:
        """In IST, in whole minutes."""
        return self.convert(name, None, _minute, "a time IST such as 15:20")

    def extra_sessions(self) -> dict[date, Session]:
        """Days with hours of their own: muhurat trading, a session on a Saturday."""

        def convert(text: str) -> dict[date, Session]:
            days = [part.split() for part in _parts(text)]
            sessions = {date.fromisoformat(day): _session(hours) for day, hours in days}
            if len(sessions) < len(days):
                raise ValueError("two sessions on one day")
            return sessions

        wanted = "one session a day such as 2026-11-08 18:00-19:00, separated by commas"
        return self.convert("EXTRA_SESSIONS", {}, convert, wanted)

    def whole(self, name: str, default: int) -> int:
        """A limit that cannot be switched off: at least 1."""
        value = self.convert(name, default, _whole, "a whole number, at least 1")
        if value < 1:
            self.fault(name, "must be at least 1; this limit cannot be switched off")
        return value

    def optional_whole(self, name: str, default: int) -> int | None:
        """A limit; 0 or an empty value switches it off."""
        return None if self._is_empty(name) else self.count(name, default, "0 or empty switches it off") or None

    def count(self, name: str, default: int, zero: str) -> int:
        """A whole number. `zero` says what 0 means."""
        return self.convert(name, default, _whole, f"a whole number; {zero}")

    def decimal(self, name: str, default: str, wanted: str = "a number above zero") -> Decimal:
        return self.convert(name, Decimal(default), _above_zero, wanted)

    def optional_decimal(self, name: str, default: str) -> Decimal | None:
        """A limit; 0 or an empty value switches it off."""
        if self._is_empty(name):
            return None
        return self.convert(name, Decimal(default), _decimal, "a number; 0 or empty switches it off") or None

    def seconds(self, name: str, default: int) -> timedelta:
        return timedelta(seconds=self.whole(name, default))

    def yes_or_no(self, name: str, default: bool = False) -> bool:
        return self.convert(name, default, lambda text: ("no", "yes").index(text.lower()) == 1, "yes or no")

    def host(self) -> str:
        def convert(text: str) -> str:
            return text if text == "localhost" else address(text)

        return self.convert("HOST", DEFAULT_HOST, convert, "an address of this machine, such as 127.0.0.1 or ::1")

    def _is_empty(self, name: str) -> bool:
        return name in self._environ and self.text(name) is None


def split(url: str) -> SplitResult:
    """The parts of an address; empty for text that is none: urlsplit would raise an error that quotes it."""
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else urlsplit("")
    except ValueError:
        return urlsplit("")


def is_safe(url: str) -> bool:
    """Whether requests to it are safe in transit: by https, to this machine, or a path instead of an address."""
    parts = split(url)
    return parts.scheme != "http" or is_loopback(parts.hostname)


def is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return host is not None and ip_address(host).is_loopback
    except ValueError:
        return False


def _parts(text: str) -> list[str]:
    return [part for part in map(str.strip, text.split(",")) if part]


def address(text: str) -> str:
    return str(ip_address(text))


def _session(text: str) -> Session:
    opens, _, closes = text.partition("-")
    session = Session(_minute(opens.strip()), _minute(closes.strip()))
    if session.opens >= session.closes:
        raise ValueError("a session ends after it begins")
    return session


def _minute(text: str) -> time:
    if re.fullmatch(r"\d\d:\d\d", text, re.ASCII) is None:
        raise ValueError(text)  # seconds are meaningless here, and the zone is always IST
    return time.fromisoformat(text)


def _whole(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) is None:
        raise ValueError(text)
    return int(text)


def _decimal(text: str) -> Decimal:
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", text, re.ASCII) is None:
        raise ValueError(text)
    return Decimal(text)


def _above_zero(text: str) -> Decimal:
    if not (value := _decimal(text)):
        raise ValueError(text)
    return value
