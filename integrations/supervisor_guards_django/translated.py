"""Routes of several languages: a rule's template is in the project's own, whatever language a request is in.

`i18n_patterns` puts the request's language before a route, and `path(_("orders/"), ...)` translates it. So the route
that Django's resolver reports depends on what the client asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import LocalePrefixPattern
from django.utils.functional import Promise
from django.utils.translation import get_language, override

MAX_ROUTES = 10_000
"""URLconfs may include each other without end."""
MAX_DEPTH = 50

Pattern = tuple[URLPattern, str, tuple[str, ...], tuple[str, ...]]

_translated: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
_originals: WeakKeyDictionary[Any, dict[tuple[str, str], dict[str, str]]] = WeakKeyDictionary()


def template_of(request: Any, route: str | None) -> str | None:
    """The template as rules write it: the URLconf's own text after a slash, expressions without their `^`."""
    if route is None:
        return None
    if settings.USE_I18N:
        resolver = get_resolver(getattr(request, "urlconf", None))
        if is_translated(resolver):
            route = _original(resolver, route)
    return written(route)


def written(route: str) -> str:
    """A route's text as a rule writes it."""
    return "/" + route.removeprefix("^")


def is_translated(resolver: Any) -> bool:
    """Whether any route of `resolver` depends on the language."""
    found = _translated.get(resolver)
    if found is None:
        found = _translated[resolver] = any(_varies(one) for one in _below(resolver))
    return found


def patterns(resolver: Any) -> Iterator[Pattern]:
    """Each pattern below `resolver` in its order, with its route in the project's language, and its namespaces.

    The route lacks the language that `i18n_patterns` puts before it. At most `MAX_ROUTES`.
    """
    with override(settings.LANGUAGE_CODE):
        return iter(list(_limited(_walk(resolver, "", (), (), prefixed=False))))


def _original(resolver: Any, route: str) -> str:
    """`route`, as resolved in the request's language, in the project's. A view may have changed the language since."""
    for language in (get_language() or settings.LANGUAGE_CODE, *dict(settings.LANGUAGES)):
        found = _in_language(resolver, language).get(route)
        if found is not None:
            return found
    return route


def _in_language(resolver: Any, language: str) -> dict[str, str]:
    """From a route as `language` has it to the project's."""
    known = _originals.setdefault(resolver, {})
    key = (settings.LANGUAGE_CODE, language)
    found = known.get(key)
    if found is None:
        with override(language):
            theirs = [one[1] for one in _limited(_walk(resolver, "", (), (), prefixed=True))]
        pairs = list(zip(theirs, (one[1] for one in patterns(resolver)), strict=True))
        found = known[key] = dict(reversed(pairs))  # of two alike the resolver takes the first
    return found


def _walk(
    resolver: Any, prefix: str, namespaces: tuple[str, ...], apps: tuple[str, ...], depth: int = 0, *, prefixed: bool
) -> Iterator[Pattern]:
    for one in resolver.url_patterns:
        if isinstance(one, URLResolver) and depth < MAX_DEPTH:
            text = "" if isinstance(one.pattern, LocalePrefixPattern) and not prefixed else str(one.pattern)
            inner = (*namespaces, one.namespace) if one.namespace else namespaces
            inner_apps = (*apps, one.app_name) if one.app_name else apps
            yield from _walk(one, _joined(prefix, text), inner, inner_apps, depth + 1, prefixed=prefixed)
        elif isinstance(one, URLPattern):
            yield one, _joined(prefix, str(one.pattern)), namespaces, apps


def _limited(found: Iterator[Pattern]) -> Iterator[Pattern]:
    return (one for one, _ in zip(found, range(MAX_ROUTES), strict=False))


def _below(resolver: Any, depth: int = 0) -> Iterator[Any]:
    for one in resolver.url_patterns:
        yield one.pattern
        if isinstance(one, URLResolver) and depth < MAX_DEPTH:
            yield from _below(one, depth + 1)


def _varies(pattern: Any) -> bool:
    text = getattr(pattern, "_route", None) or getattr(pattern, "_regex", None)
    return isinstance(pattern, LocalePrefixPattern) or isinstance(text, Promise)


def _joined(first: str, second: str) -> str:
    """As Django's resolver joins the routes of includes."""
    return first + second.removeprefix("^") if first else second
