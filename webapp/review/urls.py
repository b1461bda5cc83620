"""Addresses of the review pages."""

from __future__ import annotations

from django.urls import path

from webapp.review import json_views, run_views, set_views, views

app_name = "review"
ITEM = "review/queues/<uuid:uuid>/items/<int:position>/"
urlpatterns = [
    path("review/", views.index, name="index"),
    path("review/queues/new/", views.new_queue, name="new_queue"),
    path("review/queues/<uuid:uuid>/", views.queue, name="queue"),
    path("review/queues/<uuid:uuid>/close/", views.close_queue, name="close_queue"),
    path("review/queues/<uuid:uuid>/next/", json_views.next_items, name="next"),
    path(ITEM, json_views.item, name="item"),
    path(f"{ITEM}steps/", json_views.item_steps, name="item_steps"),
    path(f"{ITEM}label/", json_views.save, name="save"),
    path(f"{ITEM}undo/", json_views.undo, name="undo"),
    path(f"{ITEM}skip/", json_views.skip, name="skip"),
    path(f"{ITEM}reveal/", json_views.reveal, name="reveal"),
    path("review/sets/<uuid:uuid>/", views.label_set, name="set"),
    path("review/sets/<uuid:uuid>/numbers/", set_views.numbers, name="numbers"),
    path("review/sets/<uuid:uuid>/disagreements/", set_views.disagreements, name="disagreements"),
    path("review/sets/<uuid:uuid>/decide/", set_views.decide, name="decide"),
    path("review/sets/<uuid:uuid>/adjudicator/", set_views.adjudicator, name="adjudicator"),
    path("review/sets/<uuid:uuid>/files/<str:name>", set_views.export, name="export"),
    path("review/imports/new/", set_views.import_file, name="import"),
    path("review/marks.json", run_views.marks, name="marks"),
    path("review/runs/<uuid:uuid>/", run_views.run, name="run"),
    path("review/runs/<uuid:uuid>/labels.json", run_views.labels, name="run_labels"),
]
