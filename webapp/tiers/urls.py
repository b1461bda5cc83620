"""Endpoints and ladders; owners edit, others read."""

from __future__ import annotations

from django.urls import path

from webapp.tiers import views

app_name = "tiers"
urlpatterns = [
    path("tiers/", views.overview, name="overview"),
    path("tiers/endpoints/new/", views.add_endpoint, name="add_endpoint"),
    path("tiers/endpoints/<uuid:uuid>/", views.edit_endpoint, name="edit_endpoint"),
    path("tiers/endpoints/<uuid:uuid>/check/", views.check_endpoint, name="check_endpoint"),
    path("tiers/endpoints/<uuid:uuid>/archive/", views.archive_endpoint, name="archive_endpoint"),
    path("tiers/ladders/new/", views.add_ladder, name="add_ladder"),
    path("tiers/ladders/<uuid:uuid>/", views.edit_ladder, name="edit_ladder"),
    path("tiers/ladders/<uuid:uuid>/archive/", views.archive_ladder, name="archive_ladder"),
    path("tiers/ladders/<uuid:uuid>/rungs/add/", views.add_rung, name="add_rung"),
    path("tiers/ladders/<uuid:uuid>/rungs/<int:position>/move/", views.move_rung, name="move_rung"),
    path(
        "tiers/ladders/<uuid:uuid>/rungs/<int:position>/remove/",
        views.remove_rung,
        name="remove_rung",
    ),
]
