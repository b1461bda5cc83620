"""Forms of the team page."""

from __future__ import annotations

from django import forms

from webapp.teams.models import Role


class AddMemberForm(forms.Form):
    username = forms.CharField(
        label="User name", max_length=150, help_text="An account that exists already."
    )
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.MEMBER)


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)


class TokenForm(forms.Form):
    name = forms.CharField(
        label="Name", max_length=80, help_text="Where you will use it, such as notebook."
    )
