from __future__ import annotations

from cdc.sources.postgres.runway import WINDOW_S, Runway


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def look(runway: Runway, clock: Clock, at: float, written: int, safe: int | None) -> float | None:
    clock.now = at
    return runway.seconds(written, safe)


def test_it_is_what_may_still_be_written_at_the_rate_of_the_last_minutes() -> None:
    clock = Clock()
    runway = Runway(clock)
    assert look(runway, clock, 0, 1_000, 5_000) is None
    assert look(runway, clock, 10, 2_000, 4_000) == 40
    assert look(runway, clock, 20, 5_000, 1_000) == 5
    assert look(runway, clock, 30, 5_000, 1_000) == 7.5


def test_what_was_written_long_ago_does_not_count() -> None:
    clock = Clock()
    runway = Runway(clock)
    look(runway, clock, 0, 0, 5_000)
    look(runway, clock, 10, 1_000_000, 5_000)
    assert look(runway, clock, 11 + WINDOW_S, 1_000_000, 5_000) is None
    assert look(runway, clock, 21 + WINDOW_S, 1_000_100, 5_000) == 500


def test_there_is_none_without_a_limit_and_no_time_left_beyond_it() -> None:
    clock = Clock()
    runway = Runway(clock)
    assert look(runway, clock, 0, 0, None) is None
    assert look(runway, clock, 10, 100, None) is None
    assert look(runway, clock, 20, 200, -7) == 0


def test_the_log_of_another_server_begins_anew() -> None:
    clock = Clock()
    runway = Runway(clock)
    look(runway, clock, 0, 9_000, 5_000)
    assert look(runway, clock, 10, 100, 5_000) is None
    assert look(runway, clock, 20, 200, 5_000) == 500
