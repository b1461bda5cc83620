"""Experiments, and the task sets that they are about."""

from __future__ import annotations

from django.urls import path

from webapp.experiments import export_views, new_views, task_set_views, views

app_name = "experiments"
urlpatterns = [
    path("experiments/", views.experiment_list, name="list"),
    path("experiments/new/", new_views.new, name="new"),
    path("experiments/new/arms/", new_views.arms, name="arms"),
    path("experiments/new/selection/", new_views.selection, name="selection"),
    path("experiments/new/file/", new_views.read_file, name="read_file"),
    path("experiments/task-sets/", task_set_views.task_set_list, name="task_sets"),
    path("experiments/task-sets/add/", task_set_views.add, name="add_task_set"),
    path("experiments/task-sets/upload/", task_set_views.upload, name="upload_task_set"),
    path("experiments/task-sets/<uuid:uuid>/", task_set_views.task_set, name="task_set"),
    path(
        "experiments/task-sets/<uuid:uuid>/archive/",
        task_set_views.archive,
        name="archive_task_set",
    ),
    path("experiments/<uuid:uuid>/", views.detail, name="detail"),
    path("experiments/<uuid:uuid>/results.json", views.figures, name="results"),
    path("experiments/<uuid:uuid>/trials/", views.trials, name="trials"),
    path("experiments/<uuid:uuid>/failures/", views.failures, name="failures"),
    path("experiments/<uuid:uuid>/pause/", views.pause, name="pause"),
    path("experiments/<uuid:uuid>/resume/", views.resume, name="resume"),
    path("experiments/<uuid:uuid>/cancel/", views.cancel, name="cancel"),
    path("experiments/<uuid:uuid>/retry/", views.retry, name="retry"),
    path("experiments/<uuid:uuid>/judge/", views.judge_again, name="judge_again"),
    path("experiments/<uuid:uuid>/rerun/", views.rerun, name="rerun"),
    path("experiments/<uuid:uuid>/export/<slug:what>/", export_views.export, name="export"),
]
