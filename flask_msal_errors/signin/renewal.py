"""Renewal of a session's lifetime while its user keeps coming back."""

from __future__ import annotations

import time

from ..session.records import Records
from ..session.session_index import SessionIndex
from ..user import forget
from ..user import note
from ..user import signed_in


class Renewal:
    """Gives record and session their full lifetime again."""

    def __init__(self, records: Records, session_index: SessionIndex) -> None:
        self._records = records
        self._session_index = session_index

    def renew(self) -> None:
        """Renew the record of this request's session, and the session with it."""
        person = signed_in()
        if person is not None and self._records.renew(person.handle):
            lifetime = self._records.lifetime.total_seconds()
            renew_at = int(time.time() + lifetime / 2)
            note(renew_at=renew_at, vouched_at=person.vouched_at or person.since)
            if not self._session_index.note():
                self._session_index.refuse(person)
                forget()
