"""Forms of endpoints, ladders and rungs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django import forms

from webapp.teams.models import Workspace
from webapp.tiers.models import Endpoint, Ladder, Rung

if TYPE_CHECKING:  # generic for the type checker only
    _EndpointModelForm = forms.ModelForm[Endpoint]
    _LadderModelForm = forms.ModelForm[Ladder]
else:
    _EndpointModelForm = _LadderModelForm = forms.ModelForm

KEY_NAME = re.compile(r"(TANDEM_KEY_[A-Z0-9_]+|[A-Z][A-Z0-9_]*_API_KEY)")
"""Only such variables can be named: an owner must not be able to send the server's own secrets
(SECRET_KEY, DATABASE_URL, …) to an address of theirs."""


class EndpointForm(_EndpointModelForm):
    """One model at one address; a key is only ever named."""

    use_required_attribute = False

    class Meta:
        model = Endpoint
        fields = (
            "name",
            "base_url",
            "model",
            "api_key_env",
            "price_input_usd",
            "price_cached_usd",
            "price_output_usd",
            "context_tokens",
            "max_concurrency",
            "connect_timeout_s",
            "first_byte_timeout_s",
            "between_chunks_timeout_s",
            "total_timeout_s",
            "structured_output",
            "supports_priority",
        )
        labels = {
            "base_url": "Base URL",
            "api_key_env": "Variable that holds the key",
            "price_input_usd": "Input, USD per 1M tokens",
            "price_cached_usd": "Cached input, USD per 1M tokens",
            "price_output_usd": "Output, USD per 1M tokens",
            "context_tokens": "Context, tokens",
            "max_concurrency": "Calls at once",
            "connect_timeout_s": "Connect, seconds",
            "first_byte_timeout_s": "First byte, seconds",
            "between_chunks_timeout_s": "Between chunks, seconds",
            "total_timeout_s": "Whole call, seconds",
            "structured_output": "Enforces structured outputs",
            "supports_priority": "Takes a request priority",
        }
        help_texts = {
            "base_url": "Up to and including the version, such as http://gpu1:8000/v1.",
            "model": "As the server lists it.",
            "api_key_env": "Name of an environment variable of the workers, ending in _API_KEY. "
            "Empty: no key. It is bound to scheme, host and port of the base URL.",
            "price_input_usd": "Empty: unknown, never taken for 0.",
        }

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.workspace = workspace
        for name in ("price_input_usd", "price_cached_usd", "price_output_usd"):
            self.fields[name].widget.attrs |= {"step": "any", "min": "0"}

    @property
    def main_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("name", "base_url", "model", "api_key_env")]

    @property
    def price_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith("price_")]

    @property
    def more_fields(self) -> list[forms.BoundField]:
        known = {bound.name for bound in (*self.main_fields, *self.price_fields)}
        return [self[name] for name in self.fields if name not in known]

    def clean_base_url(self) -> str:
        url = str(self.cleaned_data["base_url"]).strip().rstrip("/")
        parts = _split(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise forms.ValidationError("Give an http or https address with a host.")
        if parts.username or parts.password or "@" in parts.netloc:
            raise forms.ValidationError("Put no user name or key into the address.")
        if parts.query or parts.fragment or any(c in url for c in "\\ \t\r\n"):
            raise forms.ValidationError("Give the plain base URL, without ? or # or spaces.")
        return url

    def clean_api_key_env(self) -> str:
        name = str(self.cleaned_data["api_key_env"]).strip()
        if name and not KEY_NAME.fullmatch(name):
            raise forms.ValidationError(
                "Name a variable in capitals that ends in _API_KEY or begins with TANDEM_KEY_, "
                "never the key itself."
            )
        return name

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        same = Endpoint.objects.filter(workspace=self.workspace, name=name, archived_at=None)
        if same.exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(f"There is an endpoint named {name} already.")
        return name

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for name, value in list(data.items()):
            numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
            low = 0 if name.startswith("price_") else 0.001
            if numeric and not low <= value <= 1e7:
                self.add_error(name, f"Give a number from {low:g} to 10,000,000.")
        return data


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise forms.ValidationError("This is not an address.") from None
    return parts


class LadderForm(_LadderModelForm):
    class Meta:
        model = Ladder
        fields = ("name",)

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.workspace = workspace

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        same = Ladder.objects.filter(workspace=self.workspace, name=name, archived_at=None)
        if same.exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(f"There is a ladder named {name} already.")
        return name


class RungForm(forms.Form):
    """A tier to add on top of a ladder."""

    tier_name = forms.CharField(
        label="Tier name", max_length=30, help_text="What people call it: small, large."
    )
    endpoint = forms.ModelChoiceField(
        label="Endpoint", queryset=Endpoint.objects.none(), to_field_name="uuid", empty_label=None
    )

    def __init__(self, *args: Any, ladder: Ladder, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ladder = ladder
        self.fields["endpoint"].queryset = Endpoint.objects.filter(  # type: ignore[attr-defined]
            workspace_id=ladder.workspace_id, archived_at=None
        ).order_by("name")

    def clean_tier_name(self) -> str:
        name = str(self.cleaned_data["tier_name"]).strip()
        if Rung.objects.filter(ladder=self.ladder, tier_name=name).exists():
            raise forms.ValidationError(f"This ladder has a tier named {name} already.")
        return name
