"""Where the views are. Rules in the settings name these routes, or their names."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from example_apps.django_refunds import views
from supervisor_guards_django.status import review_status

urlpatterns = [
    path("orders/<str:order_id>", views.order, name="order"),
    path("orders/<str:order_id>/refunds", views.Refunds.as_view(), name="refund"),
    path("emails", views.send_email, name="send-email"),
    path("accounts/<str:account>", views.DeleteAccount.as_view(), name="delete-account"),
    path("reviews/<str:action_id>", review_status, name="review-status"),
    path("admin/", admin.site.urls),
]
