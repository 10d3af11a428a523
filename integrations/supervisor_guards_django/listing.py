"""The query string of the admin's lists: filters, search, dates, and where the page begins."""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils import timezone
from django.utils.dates import MONTHS
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from supervisor_guards.web import Choices, DecisionQuery, Desk, Page, ReviewQuery
from supervisor_guards_django import showing

DECISION_FILTERS = ("action_type", "outcome", "would_have", "mode", "status", "route", "rule", "q")
REVIEW_FILTERS = ("status", "action_type", "route", "q")
_DATES = ("year", "month", "day")
_CURSOR = "from"
_LONGEST = 500
_CHOICES = 50
"""Of one filter in the sidebar."""
_YEARS = 30
_MICROSECONDS = 1_000_000

OUTCOMES = ("allow", "review", "deny")
MODES = ("shadow", "sample", "enforce")
STATUSES = ("evaluated", "unavailable", "unknown")
REVIEW_STATUSES = ("pending", "approved", "used", "rejected", "expired", "abandoned", "executed")
WORDS = {"outcome": OUTCOMES, "would_have": OUTCOMES, "mode": MODES, "status": STATUSES}

Moment = tuple[int, int]


class Asked:
    """What the query string asks for; what it can't mean is left out.

    `values` has the filters that are given, by name, `date` the year, month and day as far as given.
    """

    def __init__(self, given: Mapping[str, Any], filters: Iterable[str]) -> None:
        texts = {name: str(given.get(name, "")).strip()[:_LONGEST] for name in filters}
        self.values = {name: value for name, value in texts.items() if value}
        self.date = _date(given)
        self.cursor = _number(given.get(_CURSOR), 0, 2**63 - 1)

    @property
    def window(self) -> tuple[int | None, int | None]:
        """The microseconds from which on and before which the date is, in the current time zone."""
        return bounds(*self.date) if self.date else (None, None)

    def link(self, **changes: Any) -> str:
        """The query string with some parameters changed; None takes one out. The page begins anew."""
        dates = dict(zip(_DATES, self.date, strict=False))
        params = {**self.values, **dates, **changes}
        return "?" + urlencode({name: value for name, value in params.items() if value is not None})

    def dated(self, *date: int) -> str:
        """The query string of the same filters on this date."""
        return self.link(**{**dict.fromkeys(_DATES), **dict(zip(_DATES, date, strict=False))})

    def shown(self, page: Page[Any], specs: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """What templates need of this."""
        hidden = {**self.values, **dict(zip(_DATES, self.date, strict=False))}
        return {
            "specs": specs,
            "search": {"search_fields": True, "query": self.values.get("q", ""), "params": hidden},
            "clear_link": "?" if self.values or self.date else None,
            "next_link": None if page.cursor is None else self.link(**{_CURSOR: page.cursor}),
            "first_link": None if self.cursor is None else self.link(),
            "complete": page.complete,
        }


def decision_query(asked: Asked, since: int | None, until: int | None) -> DecisionQuery:
    """What the list of decisions looks for."""
    values = {**asked.values, "text": asked.values.get("q")}
    values.pop("q", None)
    for name, words in WORDS.items():
        if values.get(name) not in words:
            values.pop(name, None)
    return DecisionQuery(**values, since=since, until=until)


def review_query(asked: Asked) -> ReviewQuery:
    """What the list of reviews looks for: those that wait, unless another status is asked for."""
    said = asked.values.get
    return ReviewQuery(
        status=review_status(asked), action_type=said("action_type"), route=said("route"), text=said("q")
    )


def review_status(asked: Asked) -> str | None:
    """The status asked for; None for all."""
    said = asked.values.get("status", "pending")
    return None if said == "all" else said if said in REVIEW_STATUSES else "pending"


def decision_specs(asked: Asked, choices: Choices) -> list[dict[str, Any]]:
    """The filters beside the list of decisions."""
    return [
        _spec(asked, "action_type", _("action"), choices.action_types),
        _spec(asked, "outcome", _("outcome"), OUTCOMES, showing.word),
        _spec(asked, "would_have", _("what enforcing would have answered"), OUTCOMES, showing.word),
        _spec(asked, "mode", _("mode"), MODES, showing.word),
        _spec(asked, "status", _("status"), STATUSES, showing.word),
        _spec(asked, "route", _("route"), choices.routes),
        _spec(asked, "rule", _("rule"), choices.rules),
    ]


def review_specs(asked: Asked, choices: Choices) -> list[dict[str, Any]]:
    """The filters beside the list of reviews."""
    status = review_status(asked)
    statuses = [
        {"query_string": asked.link(status=one), "display": showing.word(one), "selected": one == status}
        for one in REVIEW_STATUSES
    ]
    everything = {"query_string": asked.link(status="all"), "display": _("All"), "selected": status is None}
    return [
        {"title": _("status"), "choices": [*statuses, everything]},
        _spec(asked, "action_type", _("action"), choices.action_types),
        _spec(asked, "route", _("route"), choices.routes),
    ]


def dates(asked: Asked, desk: Desk) -> dict[str, Any] | None:
    """Links to the years, months or days in which there are decisions, as `admin/date_hierarchy.html` takes them."""
    span = desk.span()
    if span is None:
        return None
    first, last = (_day(moment) for moment in span)
    date, back = asked.date, None
    if date:
        parent = date[:-1]
        back = {"link": asked.dated(*parent), "title": _date_title(parent) if parent else _("All dates")}
    elif first.year == last.year:
        date = (first.year, first.month) if first.month == last.month else (first.year,)
    if len(date) == 3:
        return {"show": True, "back": back, "choices": [{"title": _date_title(date)}]}
    found = _with_decisions(desk, _parts(date, first, last), span[0])
    return {
        "show": True,
        "back": back,
        "choices": [{"link": asked.dated(*one), "title": _date_title(one)} for one in found],
    }


def bounds(year: int, month: int | None = None, day: int | None = None) -> Moment:
    """The microseconds since the epoch from which on, and before which, a year, month or day is."""
    begin = datetime.date(year, month or 1, day or 1)
    if day is not None:
        end = begin + datetime.timedelta(days=1)
    elif month is not None:
        end = (begin + datetime.timedelta(days=31)).replace(day=1)
    else:
        end = datetime.date(year + 1, 1, 1)
    return _midnight(begin), _midnight(end)


def _parts(date: tuple[int, ...], first: datetime.date, last: datetime.date) -> list[tuple[int, ...]]:
    if not date:
        return [(year,) for year in range(max(first.year, last.year - _YEARS + 1), last.year + 1)]
    if len(date) == 1:
        return [(*date, month) for month in range(1, 13)]
    return [(*date, day) for day in range(1, calendar.monthrange(date[0], date[1])[1] + 1)]


def _with_decisions(desk: Desk, parts: list[tuple[int, ...]], oldest: int) -> list[tuple[int, ...]]:
    """Those of `parts` in which decisions are stored: counts outlast the rows that retention has taken."""
    windows = [bounds(*part) for part in parts]
    recorded = desk.recorded(windows)
    return [part for part, window, seen in zip(parts, windows, recorded, strict=True) if seen and window[1] > oldest]


def _date_title(date: tuple[int, ...]) -> str:
    if len(date) == 1:
        return str(date[0])
    month = str(MONTHS[date[1]])
    return f"{month} {date[2]}" if len(date) == 3 else f"{month} {date[0]}"


def _spec(asked: Asked, name: str, title: str, values: Sequence[str], display: Any = showing.text) -> dict[str, Any]:
    chosen = asked.values.get(name)
    listed = list(values[:_CHOICES])
    if chosen is not None and chosen not in listed:
        listed.append(chosen)
    everything = {"query_string": asked.link(**{name: None}), "display": _("All"), "selected": chosen is None}
    return {
        "title": title,
        "choices": [
            everything,
            *(
                {"query_string": asked.link(**{name: value}), "display": display(value), "selected": value == chosen}
                for value in listed
            ),
        ],
    }


def _date(given: Mapping[str, Any]) -> tuple[int, ...]:
    found: list[int] = []
    for name, low, high in (("year", 1971, 9998), ("month", 1, 12), ("day", 1, 31)):
        value = _number(given.get(name), low, high)
        if value is None:
            break
        found.append(value)
    if len(found) == 3 and found[2] > calendar.monthrange(found[0], found[1])[1]:
        found.pop()
    return tuple(found)


def _number(text: Any, low: int, high: int) -> int | None:
    written = str(text or "")
    if not (written.isascii() and written.isdigit() and len(written) <= 19):
        return None
    return int(written) if low <= int(written) <= high else None


def _midnight(day: datetime.date) -> int:
    moment = datetime.datetime(day.year, day.month, day.day, tzinfo=timezone.get_current_timezone())
    return int(moment.timestamp()) * _MICROSECONDS


def _day(microseconds: int) -> datetime.date:
    return datetime.datetime.fromtimestamp(microseconds / _MICROSECONDS, timezone.get_current_timezone()).date()
