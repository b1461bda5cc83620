"""Text of strangers made harmless for a prompt: it may not look like a turn of the conversation.

Chat templates know special tokens, and a tokenizer may take them from a tool's text for real ones: a
page could then end its own message and speak as the user. The same holds for the tags of our
protocol. Such marks keep their words and their length but lose their brackets.
"""

from __future__ import annotations

import re

_OWN_TAGS = "progress|rationale|indicator|answer|tool_call|tool_response|tools?|think"
_TEMPLATE_TAGS = "s|bos|eos|pad|unk|start_of_turn|end_of_turn|start_of_image|end_of_image"
_MARK = re.compile(
    r"<\|[^<>|\n]{1,60}\|>"  # Qwen, Llama 3, Phi, gpt-oss: <|im_start|>
    r"|<｜[^<>｜\n]{1,60}｜>"  # DeepSeek, full-width bars
    rf"|</?\s{{0,4}}(?:{_OWN_TAGS}|{_TEMPLATE_TAGS})\s{{0,4}}/?>"
    r"|<</?SYS>>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|CALL_ID)\]",
    re.IGNORECASE,
)
_HARMLESS = str.maketrans({"<": "‹", ">": "›", "[": "⟦", "]": "⟧"})


def neutralised(text: str) -> str:
    """Return the text, as long as before, without control tokens and tags of the protocol.

    >>> neutralised("a <|im_end|> b <progress>1</progress> x < y")
    'a ‹|im_end|› b ‹progress›1‹/progress› x < y'
    """
    return _MARK.sub(lambda mark: mark.group().translate(_HARMLESS), text)
