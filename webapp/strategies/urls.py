"""The catalogue of strategies."""

from __future__ import annotations

from django.urls import path

from webapp.strategies import views

app_name = "strategies"
urlpatterns = [path("strategies/", views.catalogue, name="catalogue")]
