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

    def get_actions(self, request: Any) -> dict[str, Any]:
        found = super().get_actions(request)
        if "delete_selected" in found:
            _, name, description = found["delete_selected"]
            found["delete_selected"] = (GUARDED_DELETE, name, description)
        return found


def _chosen(request: Any) -> dict[str, Any]:
    return {"count": len(request.POST.getlist("_selected_action")), "confirmed": "post" in request.POST}


GUARDED_DELETE = supervised_view("groups.delete", payload=_chosen)(delete_selected)

guarded_site = admin.AdminSite("guarded")
guarded_site.register(Group, GuardedGroups)
guarded_site.register(Review, ReviewAdmin)

urlpatterns = [path("admin/", admin.site.urls), path("guarded/", guarded_site.urls)]
