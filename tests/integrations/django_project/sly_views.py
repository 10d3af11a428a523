"""Views and middleware that do their work where a guard might not expect it. Each notes what ran."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

from django.conf.urls.i18n import i18n_patterns
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from django.utils.functional import lazy
from django.utils.translation import get_language
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from supervisor_guards_django.decorators import SupervisedMixin, supervised_view

RAN: list[str] = []
guard = supervised_view("act")


def ran(name: str) -> HttpResponse:
    RAN.append(name)
    return HttpResponse(name)


class Exempt(View):
    """A class-based view without CSRF protection."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        return csrf_exempt(super().as_view(**initkwargs))


class OwnDispatch(Exempt):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return ran("dispatch")


class OwnNotAllowed(Exempt):
    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return ran("not allowed")


class OwnSetup(Exempt):
    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.post = lambda request: ran("setup")


class OwnAttributes(Exempt):
    def __getattr__(self, name: str) -> Any:
        if name == "post":
            return lambda request: ran("attributes")
        raise AttributeError(name)


class OwnNames(Exempt):
    http_method_names = ("get",)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.http_method_names = ("post",)

    def post(self, request: HttpRequest) -> HttpResponse:
        return ran("names")


class OwnOptions(Exempt):
    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return ran("options")


class Deleting(Exempt):
    def delete(self, request: HttpRequest) -> HttpResponse:
        return ran("deleted")


def overriding(view: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that takes the method from a parameter, as forms do that can't send DELETE."""

    @functools.wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        request.method = request.GET.get("_method", request.method)
        return view(request, *args, **kwargs)

    return inner


@method_decorator(overriding, name="dispatch")
class OverridingDispatch(Deleting):
    pass


@method_decorator(guard, name="dispatch")
class GuardedDispatch(OwnDispatch):
    pass


class GuardedHandler(Exempt):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self.post(request)

    @method_decorator(guard)
    def post(self, request: HttpRequest) -> HttpResponse:
        return ran("handler")


class MixedDispatch(SupervisedMixin, OwnDispatch):
    supervised_action = "act"


class Streaming(Exempt):
    async def post(self, request: HttpRequest) -> StreamingHttpResponse:
        async def parts() -> AsyncIterator[bytes]:
            ran("stream")
            yield b"part"

        return StreamingHttpResponse(parts())


class Called:
    """A callable object as a view."""

    csrf_exempt = True

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return ran("called")


@csrf_exempt
def plain(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    return ran("plain")


@csrf_exempt
@require_POST
def posted(request: HttpRequest) -> HttpResponse:
    return ran("posted")


@csrf_exempt
def forwarding(request: HttpRequest) -> HttpResponse:
    """Sends its own request on to another view, through a handler."""
    request.path_info = "/target"
    return WSGIHandler().get_response(request)


@csrf_exempt
def batch(request: HttpRequest) -> HttpResponse:
    """Does one thing twice."""
    for _ in range(2):
        guarded(request)
    return HttpResponse("done")


@guard
def guarded(request: HttpRequest) -> HttpResponse:
    return ran("guarded")


@supervised_view("act")
def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return ran("not found")


handler404 = not_found

STEERED = {
    "dispatch": OwnDispatch.as_view(),
    "not-allowed": OwnNotAllowed.as_view(),
    "setup": OwnSetup.as_view(),
    "attributes": OwnAttributes.as_view(),
    "names": OwnNames.as_view(),
    "overriding": overriding(Deleting.as_view()),
    "overriding-dispatch": OverridingDispatch.as_view(),
    "guarded-dispatch": GuardedDispatch.as_view(),
    "guarded-handler": GuardedHandler.as_view(),
    "mixed-dispatch": MixedDispatch.as_view(),
    "partial": functools.partial(plain, extra=1),
    "called": Called(),
}
"""Views that run for a POST, whatever methods their class seems to have."""


def translated() -> str:
    return "erstattungen" if (get_language() or "").startswith("de") else "refunds"


urlpatterns = [
    *(path(name, view, name=name) for name, view in STEERED.items()),
    path("options", OwnOptions.as_view(), name="options"),
    path("delete", Deleting.as_view(), name="delete"),
    path("stream", Streaming.as_view(), name="stream"),
    path("target", plain, name="target"),
    path("posted", posted, name="posted"),
    path("forwarding", forwarding, name="forwarding"),
    path("batch", batch, name="batch"),
    re_path(r"^numbers/(\d+)/(?:x/)?$", plain, name="numbers"),
    re_path(r"^deep/", include([re_path(r"^(?P<a>\d+)/", include([path("<str:b>", plain, name="deep")]))])),
    *i18n_patterns(path("orders/<int:order_id>", plain, name="order")),
    path(lazy(translated, str)(), plain, name="lazy"),
]
