"""A second opinion on an endpoint: one token through the official ``openai`` client.

The product's own calls go past that package (decision 0003). This one does not, so that a check also
says whether any other OpenAI client would get along with the server.
"""

from __future__ import annotations

import os

import httpx2
import openai
from openai.types.chat import ChatCompletion

from collab_core.domain import Tier

_CUSTOM_HEADERS = "OPENAI_CUSTOM_HEADERS"


async def official_client_error(tier: Tier, key: str) -> str:
    """Return "" if the official client gets a completion, else the kind of its error.

    Nothing of the environment goes to the server: no organisation, project, proxy or extra header.
    """
    if os.environ.get(_CUSTOM_HEADERS):
        return f"not tried, because {_CUSTOM_HEADERS} is set and would be sent along"
    http = httpx2.AsyncClient(trust_env=False, follow_redirects=False)
    timeout_s = tier.timeouts.connect_s + tier.timeouts.first_byte_s
    try:
        async with openai.AsyncOpenAI(
            base_url=tier.base_url,
            api_key=key or "none",
            organization="",
            project="",
            max_retries=0,
            timeout=timeout_s,
            http_client=http,
        ) as client:
            reply = await client.chat.completions.create(
                model=tier.model, messages=[{"role": "user", "content": "Hello"}], max_tokens=1
            )
    except openai.OpenAIError as error:
        return type(error).__name__
    # the package hands on whatever a server sent with 200, if need be as a plain string
    choices = reply.choices if isinstance(reply, ChatCompletion) else None
    return "" if choices else "no chat completion in the reply"
