"""The one door to the web: every address checked, every size and time bounded."""

from __future__ import annotations

from collab_core.tools.fetch.addresses import AddressPolicy
from collab_core.tools.fetch.client import Fetched, Fetcher, FetchLimits
from collab_core.tools.fetch.errors import FetchFailed

__all__ = ["AddressPolicy", "FetchFailed", "FetchLimits", "Fetched", "Fetcher"]
