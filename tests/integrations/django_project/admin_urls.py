"""The project's admin, and one whose bulk action is guarded where it is written."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.actions import delete_selected
from django.contrib.auth.models import Group
from django.urls import path

from supervisor_guards_django.admin import ReviewAdmin
from supervisor_guards_django.decorators import supervised_view
from supervisor_guards_django.models import Review


class GuardedGroups(admin.ModelAdmin):
    """Groups, whose bulk deletion is an action type of its own."""

    actions = ("delete_selected",)

    @admin.action(permissions=["delete"], description=delete_selected.short_description)
    def delete_selected(self, request: Any, queryset: Any) -> Any:
        return delete_groups(self, request, queryset)


def _chosen(request: Any) -> dict[str, Any]:
    return {"count": len(request.POST.getlist("_selected_action"))}


GUARDED_DELETE = supervised_view("groups.delete", payload=_chosen)(delete_selected)


def delete_groups(modeladmin: Any, request: Any, queryset: Any) -> Any:
    """Django's own action deletes where the form has `post`; until then it shows what it would delete."""
    run = GUARDED_DELETE if request.POST.get("post") else delete_selected
    return run(modeladmin, request, queryset)


guarded_site = admin.AdminSite("guarded")
guarded_site.register(Group, GuardedGroups)
guarded_site.register(Review, ReviewAdmin)

urlpatterns = [path("admin/", admin.site.urls), path("guarded/", guarded_site.urls)]
