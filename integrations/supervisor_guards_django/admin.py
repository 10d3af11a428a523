"""The admin: what was decided, and the reviews that wait for a person.

Pages show what the guard's desk says, wherever its record is kept: the models only lend their names, permissions
and addresses, and no row is read or written past the desk.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.text import capfirst
from django.views.generic import RedirectView

from supervisor_guards.errors import GuardError
from supervisor_guards.web import Desk, NoDesk
from supervisor_guards.web import Review as Case
from supervisor_guards_django import conf, deciding, listing, showing
from supervisor_guards_django.models import Decision, Review

PAGE = 50
"""Rows of one page."""


class DeskAdmin(admin.ModelAdmin):
    """A list and a page for each row, read from the desk. Nothing can be added, changed or deleted."""

    list_template = ""
    detail_template = ""
    methods: tuple[str, ...] = ("GET", "HEAD")
    """What a row answers to."""

    def get_urls(self) -> list[Any]:
        """The list and the rows: what the model's table is for has no pages."""
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        row = RedirectView.as_view(pattern_name=f"admin:{name}_change")
        return [
            path("", self.admin_site.admin_view(self.changelist_view), name=f"{name}_changelist"),
            path("<path:object_id>/change/", self.admin_site.admin_view(self.change_view), name=f"{name}_change"),
            path("<path:object_id>/", self.admin_site.admin_view(row)),
        ]

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: Any, extra_context: dict[str, Any] | None = None) -> Any:
        """A page of rows, by the filters in the query string."""
        self._check_may_look(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(DeskAdmin.methods)
        context: dict[str, Any] = {"title": capfirst(self.opts.verbose_name_plural), **(extra_context or {})}
        try:
            desk = conf.guard().desk()
            context |= {**self.rows(desk, request), "read_only": desk.read_only}
        except GuardError as error:
            return self._no_desk(request, context, error)
        return self._page(request, self.list_template, context)

    def change_view(
        self, request: Any, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """One row."""
        self._check_may_look(request)
        if request.method not in self.methods:
            return HttpResponseNotAllowed(self.methods)
        context: dict[str, Any] = {"title": capfirst(self.opts.verbose_name), **(extra_context or {})}
        try:
            return self.row(conf.guard().desk(), request, unquote(object_id), context)
        except GuardError as error:
            return self._no_desk(request, context, error)

    def rows(self, desk: Desk, request: Any) -> dict[str, Any]:
        """What the list shows."""
        raise NotImplementedError

    def row(self, desk: Desk, request: Any, action_id: str, context: dict[str, Any]) -> Any:
        """The page of the row with this action id."""
        raise NotImplementedError

    def link(self, model: Any, action_id: str | None = None) -> str:
        """The address of the row of `model` with this action id; of its list without one."""
        page, args = ("changelist", ()) if action_id is None else ("change", (quote(action_id),))
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def may_look_at(self, request: Any, model: Any) -> bool:
        """Whether the pages of `model` are in this admin, and open to who asks."""
        found = self.admin_site._registry.get(model)
        return found is not None and bool(found.has_view_permission(request))

    def _check_may_look(self, request: Any) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _page(self, request: Any, template: str, context: dict[str, Any], status: int = 200) -> Any:
        request.current_app = self.admin_site.name
        context = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, template, context, status=status)

    def _missing(self, request: Any, context: dict[str, Any], action_id: str) -> Any:
        said = {**context, "missing": showing.text(action_id)}
        return self._page(request, "admin/supervisor_guards/no_desk.html", said, 404)

    def _no_desk(self, request: Any, context: dict[str, Any], error: GuardError) -> Any:
        """The words for a record that can't be read from here, or not now."""
        elsewhere = isinstance(error, NoDesk)
        said = {**context, "elsewhere": elsewhere, "why": showing.text(str(error))}
        return self._page(request, "admin/supervisor_guards/no_desk.html", said, 200 if elsewhere else 503)


@admin.register(Decision)
class DecisionAdmin(DeskAdmin):
    """Decisions, newest first."""

    list_template = "admin/supervisor_guards/decision_list.html"
    detail_template = "admin/supervisor_guards/decision.html"

    def rows(self, desk: Desk, request: Any) -> dict[str, Any]:
        asked = listing.Asked(request.GET, listing.DECISION_FILTERS)
        since, until = asked.window
        page = desk.find_decisions(listing.decision_query(asked, since, until), PAGE, asked.cursor)
        rows = [showing.decision_row(row, self.link(Decision, row.action_id)) for row in page.rows]
        specs = listing.decision_specs(asked, desk.choices())
        return {**asked.shown(page, specs), "rows": rows, "dates": listing.dates(asked, desk)}

    def row(self, desk: Desk, request: Any, action_id: str, context: dict[str, Any]) -> Any:
        decision = desk.decision(action_id)
        if decision is None:
            return self._missing(request, context, action_id)
        case = decision.case_id
        review = self.link(Review, case) if case and self.may_look_at(request, Review) else None
        context |= {**showing.decision_page(decision), "review_link": review}
        return self._page(request, self.detail_template, context)


@admin.register(Review)
class ReviewAdmin(DeskAdmin):
    """Reviews: those that wait, by priority and longest first, or those of another status, newest first."""

    list_template = "admin/supervisor_guards/review_list.html"
    detail_template = "admin/supervisor_guards/review.html"
    methods = ("GET", "HEAD", "POST")

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        """Who may decide reviews may look at them."""
        return super().has_view_permission(request, obj) or deciding.may_decide(request)

    def rows(self, desk: Desk, request: Any) -> dict[str, Any]:
        asked = listing.Asked(request.GET, listing.REVIEW_FILTERS)
        query = listing.review_query(asked)
        find = desk.queue if query.status == "pending" else desk.find_reviews
        page = find(query, PAGE, asked.cursor)
        rows = [showing.review_row(row, self.link(Review, row.action_id)) for row in page.rows]
        return {**asked.shown(page, listing.review_specs(asked, desk.choices())), "rows": rows}

    def row(self, desk: Desk, request: Any, action_id: str, context: dict[str, Any]) -> Any:
        if request.method != "POST":
            return self._shown(desk, request, action_id, context)
        if not deciding.may_decide(request):
            raise PermissionDenied
        said = deciding.decide(desk, request, action_id)
        if said.status is None:
            self.message_user(request, said.words)
            return HttpResponseRedirect(self.link(Review))
        context |= {"error": said.words, "notes": request.POST.get("notes", "")}
        return self._shown(desk, request, action_id, context, said.status)

    def _shown(self, desk: Desk, request: Any, action_id: str, context: dict[str, Any], status: int = 200) -> Any:
        try:
            case: Case = desk.review(action_id)
        except LookupError:
            return self._missing(request, context, action_id)
        decision = self.link(Decision, action_id) if self.may_look_at(request, Decision) else None
        context |= {
            **showing.review_page(case, desk.decision(action_id)),
            **deciding.offered(desk, request, case),
            "decision_link": decision,
        }
        return self._page(request, self.detail_template, context, status)
