"""Forms of the team page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import UserCreationForm

from webapp.teams.invitations import DAYS
from webapp.teams.models import Role, User


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


class InvitationForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.MEMBER)
    days = forms.TypedChoiceField(
        label="Works for",
        choices=[(days, f"{days} day{'s' if days > 1 else ''}") for days in DAYS],
        coerce=int,
        initial=7,
    )
    only_for = forms.CharField(
        label="Only for",
        max_length=150,
        required=False,
        help_text="A user name or an e-mail address. Empty: whoever has the link.",
    )


class SettingsForm(forms.Form):
    name = forms.CharField(label="Name of the workspace", max_length=80)
    blind_review = forms.BooleanField(
        label="Blind review",
        required=False,
        help_text="Reviewers see verdict, tier and others' labels only after they saved their own.",
    )

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("Use printable characters only.")
        return name


class AccountForm(UserCreationForm[User]):
    """A new account; names that differ in case only are one name."""

    use_required_attribute = False

    class Meta:
        model = User
        fields = ("username", "email")
        labels = {"username": "User name", "email": "E-mail address"}
        help_texts = {
            "username": "Letters, digits and @ . + - _ only.",
            "email": "Only needed where the invitation was made for an address.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget.attrs |= {"autocomplete": "username"}
        self.fields["username"].widget.attrs.pop("autofocus", None)
        self.fields["email"].widget.attrs |= {"autocomplete": "email"}
        self.fields["password1"].help_text = "At least 8 characters; not a common password."
        self.fields["password2"].label = "Password again"
        self.fields["password2"].help_text = ""
