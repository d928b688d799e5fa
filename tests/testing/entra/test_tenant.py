"""The tenant's clock, in tests that travel in time."""

from __future__ import annotations

import time

import pytest

from flask_msal_errors.testing.entra.tenant import Tenant


class TestNow:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """The time that it is, to be changed."""
        clock = [1000.0]
        monkeypatch.setattr(time, "time", lambda: clock[0])
        return clock

    def test_each_is_later(self, clock: list[float]) -> None:
        """Moments differ while the clock stands still, or goes back a little."""
        tenant = Tenant()
        moments = [tenant.now() for _ in range(100)]
        clock[0] -= 0.01
        moments.append(tenant.now())
        assert moments == sorted(set(moments))

    @pytest.mark.parametrize("seconds", [60, 86400, 10**9])
    def test_travels(self, clock: list[float], seconds: int) -> None:
        """A test that was in the future, or in the past, leaves no trace."""
        tenant = Tenant()
        for far in (seconds, -seconds):
            clock[0] += far
            assert tenant.now() == pytest.approx(clock[0], abs=0.1)
            clock[0] -= far
            assert tenant.now() == pytest.approx(clock[0], abs=0.1)
