"""How fast a simulated server is, and what its prefix cache holds."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

BYTES_PER_TOKEN = 4
BLOCK_TOKENS = 32
_BLOCK_BYTES = BYTES_PER_TOKEN * BLOCK_TOKENS
_PIECE = re.compile(r"\s*[^\W_]{1,6}|\s*[^\s\w]|\s*_|\s+$")


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Durations in seconds at time scale 1, on an idle server."""

    overhead_s: float = 0.02
    """Until the first token, beside the prefill."""
    prefill_s_per_token: float = 0.0002
    """Of a prompt token that is not cached."""
    decode_s_per_token: float = 0.01
    load_factor: float = 1.0
    """Both get slower by this factor when all slots are busy; linear in between; >= 1."""
    max_num_seqs: int = 64
    """Requests that run at once; more wait in a queue."""

    def first_token_s(self, prompt_tokens: int, cached_tokens: int) -> float:
        """Return the time from the start of the work to the first token."""
        return self.overhead_s + (prompt_tokens - cached_tokens) * self.prefill_s_per_token

    def slow_down(self, running: int) -> float:
        """Return the factor for ``running`` requests at once.

        >>> Speed(load_factor=2.0, max_num_seqs=3).slow_down(2)
        1.5
        """
        if self.max_num_seqs <= 1:
            return 1.0
        share = (min(running, self.max_num_seqs) - 1) / (self.max_num_seqs - 1)
        return 1.0 + (self.load_factor - 1.0) * max(0.0, share)


class PrefixCache:
    """Which prompt blocks a model has computed before; least recently used ones are dropped.

    A block is named by its own bytes and all before it, as in vLLM: one changed byte in the head of a
    prompt and nothing behind it is found.
    """

    def __init__(self, capacity_blocks: int = 200_000) -> None:
        self._capacity = capacity_blocks
        self._blocks: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def usage_frac(self) -> float:
        return len(self._blocks) / self._capacity

    def take(self, prompt: bytes, salt: bytes = b"") -> int:
        """Store the prompt's blocks; return how many of its tokens had been there (whole blocks)."""
        found, hitting, chain = 0, True, salt
        last = len(prompt) - 1  # the last token is always computed, or there were no logits
        for start in range(0, last - _BLOCK_BYTES + 1, _BLOCK_BYTES):
            block = prompt[start : start + _BLOCK_BYTES]
            chain = hashlib.blake2b(chain + block, digest_size=12).digest()
            hitting = hitting and chain in self._blocks
            found += hitting
            self._blocks[chain] = None
            self._blocks.move_to_end(chain)
        while len(self._blocks) > self._capacity:
            self._blocks.popitem(last=False)
        return found * BLOCK_TOKENS


def render_prompt(body: Mapping[str, Any]) -> bytes:
    """Return the prompt of a request as bytes: the tools first, then each message with its role."""
    tools = msgspec.json.encode(body["tools"]) if body.get("tools") else b""
    messages = b"\n".join(msgspec.json.encode(message) for message in body["messages"])
    return tools + b"\n" + messages + b"\nassistant:"


def count_tokens(prompt: bytes) -> int:
    """Return the tokens of a prompt: one for each four bytes begun."""
    return -(-len(prompt) // BYTES_PER_TOKEN)


def split_tokens(text: str) -> list[str]:
    """Return generated text in token-like pieces, which together are the text."""
    pieces: list[str] = []
    end = 0
    for match in _PIECE.finditer(text):
        pieces.append(text[end : match.end()])
        end = match.end()
    if end < len(text):
        pieces.append(text[end:])
    return pieces
