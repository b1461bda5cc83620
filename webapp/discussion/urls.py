"""Comments of a run, and the notifications."""

from __future__ import annotations

from django.urls import path

from webapp.discussion import views

app_name = "discussion"
urlpatterns = [
    path("runs/<uuid:uuid>/comments.json", views.comments, name="comments"),
    path("runs/<uuid:uuid>/comments/add/", views.add, name="add"),
    path("comments/<uuid:uuid>/edit/", views.edit, name="edit"),
    path("comments/<uuid:uuid>/delete/", views.delete, name="delete"),
    path("notifications/", views.notifications, name="notifications"),
    path("notifications/read/", views.read_all, name="read_all"),
    path("notifications/<int:pk>/open/", views.open_one, name="open"),
]
