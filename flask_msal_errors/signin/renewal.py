"""Renewal of a session's lifetime while its user keeps coming back."""

from __future__ import annotations

from ..session.records import Records
from ..session.sid_index import SidIndex
from ..user import remember
from ..user import signed_in


class Renewal:
    """Gives record and session their full lifetime again."""

    def __init__(self, records: Records, sid_index: SidIndex) -> None:
        self._records = records
        self._sid_index = sid_index

    def renew(self) -> None:
        """Renew the record of this request's session, and the session with it."""
        person = signed_in()
        if person is not None and self._records.renew(person.handle):
            lifetime = self._records.lifetime.total_seconds()
            remember(person.handle, person.user.claims, lifetime, person.since)
            self._sid_index.note()
