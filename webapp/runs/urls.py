"""Pages of the runs; the JSON beside them is in ``json_urls``-style routes of the back end."""

from __future__ import annotations

from django.urls import path

from webapp.runs import views

app_name = "runs"
urlpatterns = [
    path("", views.run_list, name="list"),
    path("runs/new/", views.new_run, name="new"),
    path("runs/new/parameters/", views.parameters, name="parameters"),
    path("runs/tasks/", views.sample_tasks, name="tasks"),
    path("runs/<uuid:uuid>/", views.detail, name="detail"),
    path("runs/<uuid:uuid>/cancel/", views.cancel, name="cancel"),
    path("runs/<uuid:uuid>/rerun/", views.rerun, name="rerun"),
    path("runs/<uuid:uuid>/fork/", views.fork, name="fork"),
    path("runs/<uuid:uuid>/fork/parameters/", views.fork_parameters, name="fork_parameters"),
]
