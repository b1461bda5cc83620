"""Accounts: sign in and out, the active workspace, its members, personal tokens."""

from __future__ import annotations

from django.contrib.auth.views import LoginView
from django.urls import path

from webapp.teams import audit_views, invitation_views, views

app_name = "teams"
urlpatterns = [
    path(
        "login/",
        LoginView.as_view(template_name="teams/login.html", redirect_authenticated_user=True),
        name="login",
    ),
    path("logout/", views.sign_out, name="logout"),
    path("teams/", views.team, name="team"),
    path("teams/audit/", audit_views.log, name="audit"),
    path("teams/audit/export.csv", audit_views.export_csv, name="audit_csv"),
    path("teams/audit/export.jsonl", audit_views.export_jsonl, name="audit_jsonl"),
    path("teams/settings/", views.change_settings, name="settings"),
    path("teams/invitations/add/", invitation_views.invite, name="invite"),
    path(
        "teams/invitations/<uuid:uuid>/revoke/",
        invitation_views.revoke,
        name="revoke_invitation",
    ),
    path("invitations/<str:secret>/", invitation_views.invitation, name="invitation"),
    path("teams/switch/", views.switch, name="switch"),
    path("teams/members/add/", views.add_member, name="add_member"),
    path("teams/members/<int:pk>/role/", views.change_role, name="change_role"),
    path("teams/members/<int:pk>/remove/", views.remove_member, name="remove_member"),
    path("teams/tokens/add/", views.add_token, name="add_token"),
    path("teams/tokens/<int:pk>/revoke/", views.revoke_token, name="revoke_token"),
]
