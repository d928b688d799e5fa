"""A listener to what an app tells of a request: lines of the log, and signals."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import logging
import typing as t

from blinker import NamedSignal

from flask_msal_errors import signals

#: All but the one of each request to the token endpoint, refused or not.
SIGNALS = [
    one
    for one in vars(signals).values()
    if isinstance(one, NamedSignal) and one is not signals.token_requested
]


class Told(logging.Handler):
    """The lines and the signals since the last :meth:`clear`."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []
        self.signals: list[tuple[str, dict[str, t.Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Not of the emulator, whose logger is below this one.
        if record.name == "flask_msal_errors":
            self.records.append(record)

    def clear(self) -> None:
        """Forget all that was told."""
        self.records.clear()
        self.signals.clear()

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    def once(self) -> tuple[dict[str, t.Any], str, str]:
        """Return the fields of the one line, its level, and the name of the signal."""
        assert len(self.records) == len(self.signals) == 1, (self.lines, self.signals)
        (record,), ((name, _),) = self.records, self.signals
        fields = vars(record)
        assert fields["msal_event"] in (name, "session_store_failed")
        return fields, record.levelname, name


@contextlib.contextmanager
def listening() -> cabc.Iterator[Told]:
    """Listen to the logger of the package, and to all of its signals."""
    told, logger = Told(), logging.getLogger("flask_msal_errors")
    level = logger.level
    listeners: list[t.Any] = []
    for signal in SIGNALS:

        def hear(_: object, name: str = signal.name, **data: t.Any) -> None:
            told.signals.append((name, data))

        listeners.append(hear)
        signal.connect(hear)
    logger.addHandler(told)
    logger.setLevel(logging.DEBUG)
    try:
        yield told
    finally:
        logger.removeHandler(told)
        logger.setLevel(level)
        for signal, listener in zip(SIGNALS, listeners, strict=True):
            signal.disconnect(listener)
