"""Approving and rejecting in the admin: who the reviewer is, what they may do, and what they hear."""

from __future__ import annotations

import logging
from typing import Any, Literal, cast

import msgspec
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, router, transaction
from django.utils.translation import gettext as _

from supervisor_guards.web import (
    Desk,
    NoDesk,
    NotAReviewer,
    OwnAction,
    Principal,
    Review,
    ReviewNotFound,
    ReviewResolved,
    checked_user,
    own_name,
)
from supervisor_guards_django import conf, models, showing
from supervisor_guards_django.users import resolve, user_of

logger = logging.getLogger("supervisor_guards")

PERMISSION = "supervisor_guards.review_action"
NOTES_LIMIT = 2_000
"""Characters of a reviewer's notes."""

Word = Literal["approved", "rejected"]
_WORDS: dict[str, Word] = {"approve": "approved", "reject": "rejected"}


class Said(msgspec.Struct, frozen=True):
    """What a reviewer hears; `status` is None where the review is decided, as they said."""

    words: str
    status: int | None = None


class Reviewer(msgspec.Struct, frozen=True):
    """Who sits at the desk. `problem` says why they can't be told from who asked, if so."""

    principal: Principal
    problem: str | None = None


def may_decide(request: Any) -> bool:
    """Whether who asks has the permission to decide reviews."""
    return bool(request.user.has_perm(PERMISSION))


def reviewer(request: Any) -> Reviewer:
    """The signed-in user with every name that an action of theirs may have been asked for by.

    Those are the primary key, the user name, the e-mail address, and what the project's USER_RESOLVER says.
    """
    user: Any = request.user
    key = user_of(user).id or ""
    username = user.get_username()
    address = getattr(user, user.get_email_field_name(), None) if hasattr(user, "get_email_field_name") else None
    names = [key, username, address]
    problem = None
    try:
        names.append(_resolved(request))
    except Exception:
        logger.exception("USER_RESOLVER failed in the admin, so nobody can approve there")
        problem = _("USER_RESOLVER failed, so it is unknown which actions you asked for yourself.")
    known = tuple(dict.fromkeys(name for name in names if name and name.strip()))
    name = key if username == key else f"{key} ({username})"
    return Reviewer(Principal(name, may_review=may_decide(request) and problem is None, known_as=known), problem)


def offered(desk: Desk, request: Any, case: Review) -> dict[str, Any]:
    """What the page of `case` offers: `may_approve`, `may_reject`, and in `refused` why not."""
    refused = None
    who = reviewer(request)
    open_ = case.status == "pending"
    if not open_:
        pass
    elif desk.read_only is not None:
        refused = showing.text(desk.read_only)
    elif not may_decide(request):
        refused = _(
            "You may look at reviews, and decide none: that needs the permission “Can approve or reject reviews”."
        )
    elif who.problem is not None:
        refused = who.problem
    able = open_ and refused is None
    own = able and own_name(case, who.principal) is not None
    if own:
        refused = _("You asked for this action yourself. Somebody else has to approve it; you can reject it.")
    return {"may_approve": able and not own, "may_reject": able, "refused": refused, "notes_limit": NOTES_LIMIT}


def decide(desk: Desk, request: Any, action_id: str) -> Said:
    """Approve or reject, as the form says, and note it in the admin's history. Raises `SupervisorUnavailable`."""
    word = _WORDS.get(request.POST.get("decision", ""))
    notes = request.POST.get("notes", "").strip()
    if word is None:
        return Said(_("Nothing was decided: choose Approve or Reject."), 400)
    if len(notes) > NOTES_LIMIT:
        return Said(_("Nothing was decided: notes may have %d characters at most.") % NOTES_LIMIT, 400)
    who = reviewer(request)
    try:
        desk.resolve(action_id, word, notes or None, who.principal)
    except OwnAction:
        return Said(_("Not approved: you asked for this action yourself, and nobody approves their own."), 403)
    except NotAReviewer:
        return Said(who.problem or _("You may not decide reviews."), 403)
    except NoDesk as error:
        return Said(showing.text(str(error)), 403)
    except ReviewNotFound:
        return Said(_("There is no such review any more."), 404)
    except ReviewResolved as error:
        return Said(_overtaken(error), 409)
    _note(request, action_id, word, notes)
    if word == "approved":
        return Said(_("Approved. The action may now run, once: %s") % showing.text(action_id))
    return Said(_("Rejected. The action will not run: %s") % showing.text(action_id))


def _resolved(request: Any) -> str | None:
    resolver = conf.current().user_resolver
    if resolver is None:
        return None
    if iscoroutinefunction(resolver):
        return checked_user(async_to_sync(resolver)(request), "USER_RESOLVER").id
    return resolve(request, resolver).id


def _overtaken(error: ReviewResolved) -> str:
    said = {
        "status": showing.word(error.status),
        "who": showing.text(error.approver or ""),
        "when": error.resolved_at or "",
    }
    if error.approver:
        return _("Nothing was changed, somebody was faster: %(status)s by %(who)s, %(when)s.") % said
    return _("Nothing was changed, the review is over: %(status)s, %(when)s.") % said


def _note(request: Any, action_id: str, word: Word, notes: str) -> None:
    """The decision stands whether or not the project's own database takes this."""
    said = _("Approved") if word == "approved" else _("Rejected")
    try:
        with cast(Any, transaction.atomic(using=router.db_for_write(LogEntry))):
            LogEntry.objects.create(
                user_id=request.user.pk,
                content_type_id=ContentType.objects.get_for_model(models.Review).pk,
                object_id=action_id,
                object_repr=_("review %s") % action_id[:150],
                action_flag=CHANGE,
                change_message=f"{said}: {showing.text(notes, NOTES_LIMIT)}" if notes else said,
            )
    except DatabaseError:
        logger.exception("the admin's history has no entry of a decided review", extra={"action_id": action_id})
