"""Trainings and weights, below the strategies that they are for."""

from __future__ import annotations

from django.urls import path

from webapp.learning import views

app_name = "learning"
urlpatterns = [
    path("strategies/train/<slug:kind>/", views.train, name="train"),
    path("strategies/trainings/<uuid:uuid>/", views.training, name="training"),
    path("strategies/trainings/<uuid:uuid>/progress/", views.progress, name="progress"),
    path("strategies/trainings/<uuid:uuid>/cancel/", views.cancel, name="cancel"),
    path("strategies/weights/<uuid:uuid>/", views.show_weights, name="weights"),
    path("strategies/weights/<uuid:uuid>/download/", views.download, name="download"),
    path("strategies/weights/<uuid:uuid>/delete/", views.delete, name="delete"),
]
