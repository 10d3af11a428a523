"""The supervisor's tables as Django knows them: made by `migrate` in the alias that `DATABASE` names, and there only.

The engine writes them, on a connection of its own. Rows are evidence, chained and signed: read them here, and
resolve reviews through the engine (`supervisor_guards.get_guard`), never by saving an object.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from supervisor_guards_django import databases
from supervisor_guards_django.fields import CharacterwiseField, KeyField, NotEqual, SegmentField


class TableQuerySet(models.QuerySet):
    """Rows of the alias that has the tables; no rows of any other, as for `dumpdata` and test databases."""

    def using(self, alias: str | None) -> TableQuerySet:
        """The rows of `alias`."""
        found = super().using(alias)
        return found if alias == databases.tables_alias() else found.none()


class TableManager(models.Manager.from_queryset(TableQuerySet)):  # type: ignore[misc]
    """Reads from the alias that has the tables, so that the project needs no router."""

    @property
    def db(self) -> str:
        """The alias; the default one where no alias has the tables, for an object must say something."""
        return self._db or databases.tables_alias() or super().db

    def get_queryset(self) -> TableQuerySet:
        """The rows, none where no alias has the tables."""
        found = TableQuerySet(model=self.model, using=self.db, hints=self._hints)
        return found if self.db == databases.tables_alias() else found.none()


class Table(models.Model):
    """What all tables have in common. Times are microseconds since the epoch."""

    objects = TableManager()

    class Meta:
        abstract = True
        app_label = "supervisor_guards"
        base_manager_name = "objects"
        default_permissions: tuple[str, ...] = ()
        # Partial indexes are on SQLite and PostgreSQL, and so is the engine.
        required_db_features = ("supports_partial_indexes",)


class Decision(Table):
    """One action and what was decided on it."""

    id = models.BigAutoField(_("number"), primary_key=True)
    action_id = models.TextField(_("action id"))
    time = models.BigIntegerField(_("time"))
    app_id = models.TextField(_("application"))
    action_type = models.TextField(_("action"))
    route = models.TextField(_("route"), null=True)
    subject = models.TextField(_("subject"), null=True)
    tenant = models.TextField(_("tenant"), null=True)
    mode = models.TextField(_("mode"))
    enforced = models.BooleanField(_("enforced"))
    outcome = models.TextField(_("outcome"))
    would_have = models.TextField(_("would have been"), null=True)
    status = models.TextField(_("status"))
    reasons = models.TextField(_("reasons"))
    rule_ids = models.TextField(_("rules"))
    hits = models.TextField(_("hits"))
    policy_name = models.TextField(_("policy"), null=True)
    policy_version = models.TextField(_("policy version"), null=True)
    policy_hash = models.TextField(_("policy hash"), null=True)
    sample_bucket = models.IntegerField(_("sample bucket"), null=True)
    payload = models.TextField(_("payload"), null=True)
    context = models.TextField(_("context"), null=True)
    digest = models.TextField(_("digest"), null=True)
    latency_us = models.BigIntegerField(_("latency in microseconds"))
    result = models.TextField(_("result"), null=True)
    case_id = models.TextField(_("review"), null=True)
    segment = models.BigIntegerField(_("segment"))
    mac = models.TextField(_("seal"))

    class Meta(Table.Meta):
        db_table = "sg_decisions"
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
        default_permissions = ("view",)
        constraints = (models.UniqueConstraint(fields=["action_id"], name="sg_decisions_action_id_key"),)
        indexes = (
            models.Index(fields=["action_type", "id"], name="sg_decisions_action"),
            models.Index(fields=["app_id", "id"], name="sg_decisions_app"),
            models.Index(
                fields=["outcome", "id"],
                name="sg_decisions_refused",
                condition=models.Q(NotEqual(models.F("outcome"), "allow")),
            ),
            models.Index(
                fields=["would_have", "id"],
                name="sg_decisions_would",
                condition=models.Q(NotEqual(models.F("would_have"), "allow")),
            ),
            models.Index(
                fields=["status", "id"],
                name="sg_decisions_failed",
                condition=models.Q(NotEqual(models.F("status"), "evaluated")),
            ),
        )

    def __str__(self) -> str:
        return f"{self.action_type} {self.action_id}"


class ActionEvent(Table):
    """What happened to an action after its decision."""

    id = models.BigAutoField(primary_key=True)
    action_id = models.TextField()
    time = models.BigIntegerField()
    kind = models.TextField()
    actor = models.TextField(null=True)
    notes = models.TextField(null=True)
    until = models.BigIntegerField(null=True)
    segment = models.BigIntegerField()
    mac = models.TextField()

    class Meta(Table.Meta):
        db_table = "sg_events"
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = (models.Index(fields=["action_id", "id"], name="sg_events_action"),)


class Segment(Table):
    """One link of the record's chain."""

    segment = SegmentField(primary_key=True)
    time = models.BigIntegerField()
    decisions = models.BigIntegerField()
    events = models.BigIntegerField()
    head = models.TextField()
    key_id = models.TextField()

    class Meta(Table.Meta):
        db_table = "sg_segments"
        verbose_name = _("segment of the record")
        verbose_name_plural = _("segments of the record")


class Tombstone(Table):
    """What retention leaves of a segment."""

    segment = SegmentField(primary_key=True)
    head = models.TextField()
    time = models.BigIntegerField()
    decisions = models.BigIntegerField()
    events = models.BigIntegerField()
    key_id = models.TextField()
    mac = models.TextField()

    class Meta(Table.Meta):
        db_table = "sg_tombstones"
        verbose_name = _("tombstone")
        verbose_name_plural = _("tombstones")


class Review(Table):
    """An action that waits, or waited, for a person's word."""

    id = models.BigAutoField(_("number"), primary_key=True)
    action_id = CharacterwiseField(_("action id"))
    app_id = models.TextField(_("application"))
    created_at = models.BigIntegerField(_("asked at"))
    expires_at = models.BigIntegerField(_("expires at"))
    status = models.TextField(_("status"))
    digest = models.TextField(_("digest"), null=True)
    subject = models.TextField(_("subject"), null=True)
    tenant = models.TextField(_("tenant"), null=True)
    requester = models.TextField(_("requester"), null=True)
    action_type = models.TextField(_("action"))
    route = models.TextField(_("route"), null=True)
    payload = models.TextField(_("payload"), null=True)
    reasons = models.TextField(_("reasons"))
    priority = models.SmallIntegerField(_("priority"))
    approver = models.TextField(_("reviewer"), null=True)
    notes = models.TextField(_("notes"), null=True)
    resolved_at = models.BigIntegerField(_("resolved at"), null=True)
    used_at = models.BigIntegerField(_("used at"), null=True)
    segment = models.BigIntegerField(_("segment"))

    class Meta(Table.Meta):
        db_table = "sg_reviews"
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        default_permissions = ("view",)
        permissions = (("review_action", _("Can approve or reject reviews")),)
        constraints = (models.UniqueConstraint(fields=["action_id"], name="sg_reviews_action_id_key"),)
        indexes = (
            models.Index(fields=["status", "id"], name="sg_reviews_status"),
            models.Index(fields=["status", "priority", "id"], name="sg_reviews_queue"),
            models.Index(fields=["app_id", "status", "id"], name="sg_reviews_app"),
            models.Index(fields=["app_id", "status", "resolved_at"], name="sg_reviews_resolved"),
            models.Index(fields=["status", "resolved_at"], name="sg_reviews_latest"),
            models.Index(fields=["status", "expires_at"], name="sg_reviews_due"),
            models.Index(fields=["digest"], name="sg_reviews_digest"),
            models.Index(fields=["segment"], name="sg_reviews_segment"),
        )

    def __str__(self) -> str:
        return f"{self.action_type} {self.action_id}"


class Count(Table):
    """Decisions of one minute, by what they have in common; '' stands for no value."""

    pk = models.CompositePrimaryKey(
        "minute", "app_id", "action_type", "route", "mode", "enforced", "outcome", "would_have", "status"
    )
    minute = models.BigIntegerField()
    app_id = models.TextField()
    action_type = models.TextField()
    route = models.TextField()
    mode = models.TextField()
    enforced = models.BooleanField()
    outcome = models.TextField()
    would_have = models.TextField()
    status = models.TextField()
    count = models.BigIntegerField()

    class Meta(Table.Meta):
        db_table = "sg_counts"
        verbose_name = _("count")
        verbose_name_plural = _("counts")


class RuleCount(Table):
    """Hits of one rule in one minute."""

    pk = models.CompositePrimaryKey("minute", "action_type", "mode", "rule_id", "verdict")
    minute = models.BigIntegerField()
    action_type = models.TextField()
    mode = models.TextField()
    rule_id = models.TextField()
    verdict = models.TextField()
    count = models.BigIntegerField()

    class Meta(Table.Meta):
        db_table = "sg_rule_counts"
        verbose_name = _("count of a rule")
        verbose_name_plural = _("counts of rules")


class Latency(Table):
    """Decisions of one minute whose time to decide falls into one bucket of the histogram."""

    pk = models.CompositePrimaryKey("minute", "action_type", "mode", "bucket")
    minute = models.BigIntegerField()
    action_type = models.TextField()
    mode = models.TextField()
    bucket = models.IntegerField()
    count = models.BigIntegerField()

    class Meta(Table.Meta):
        db_table = "sg_latencies"
        verbose_name = _("latency")
        verbose_name_plural = _("latencies")


class Drop(Table):
    """Decisions that were dropped, and why."""

    id = models.BigAutoField(primary_key=True)
    time = models.BigIntegerField()
    count = models.BigIntegerField()
    reason = models.TextField()

    class Meta(Table.Meta):
        db_table = "sg_drops"
        verbose_name = _("drop")
        verbose_name_plural = _("drops")
        indexes = (models.Index(fields=["time"], name="sg_drops_time"),)


class Setting(Table):
    """What the store says about itself, as the version of its schema."""

    key = KeyField(primary_key=True)
    value = models.TextField()

    class Meta(Table.Meta):
        db_table = "sg_meta"
        verbose_name = _("setting of the store")
        verbose_name_plural = _("settings of the store")
