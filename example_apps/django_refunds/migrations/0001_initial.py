"""The tables of the shop's first day."""

from __future__ import annotations

from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = ()

    operations = (
        migrations.CreateModel(
            name="Account",
            fields=[
                ("name", models.CharField(max_length=100, primary_key=True, serialize=False)),
            ],
        ),
        migrations.CreateModel(
            name="Email",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("recipients", models.JSONField()),
                ("subject", models.CharField(max_length=200)),
                ("body", models.TextField()),
            ],
            options={
                "ordering": ["pk"],
            },
        ),
        migrations.CreateModel(
            name="Order",
            fields=[
                ("order_id", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("total", models.DecimalField(decimal_places=2, max_digits=10)),
                ("refunded", models.DecimalField(decimal_places=2, default=Decimal("0"), max_digits=10)),
                (
                    "account",
                    models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, to="shop.account"),
                ),
            ],
        ),
    )
