"""What-ifs."""

from __future__ import annotations

from django.urls import path

from webapp.whatif import views

app_name = "whatif"
urlpatterns = [
    path("what-if/new/", views.new, name="new"),
    path("what-if/new/parameters/", views.parameters, name="parameters"),
    path("what-if/<uuid:uuid>/", views.detail, name="detail"),
]
