"""Replies in the shapes that real servers send.

``VLLM`` is recorded from vLLM 0.32 with a tiny random model (one token chunk left out); the others are written by
hand after vLLM's and other servers' shapes, to hold what a random model does not say.
"""

from __future__ import annotations

PLAIN = (
    'data: {"id":"chatcmpl-8f1","object":"chat.completion.chunk","created":1763700000,"model":"small","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n'
    'data: {"id":"chatcmpl-8f1","object":"chat.completion.chunk","created":1763700000,"model":"small","choices":[{"index":0,"delta":{"content":"Größe – "},"logprobs":null,"finish_reason":null}]}\n\n'
    'data: {"id":"chatcmpl-8f1","object":"chat.completion.chunk","created":1763700000,"model":"small","choices":[{"index":0,"delta":{"content":"東京 🚢"},"logprobs":null,"finish_reason":null}]}\n\n'
    'data: {"id":"chatcmpl-8f1","object":"chat.completion.chunk","created":1763700000,"model":"small","choices":[{"index":0,"delta":{"content":"."},"logprobs":null,"finish_reason":"stop","stop_reason":null}]}\n\n'
    'data: {"id":"chatcmpl-8f1","object":"chat.completion.chunk","created":1763700000,"model":"small","choices":[],"usage":{"prompt_tokens":57,"total_tokens":61,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":32}}}\n\n'
    "data: [DONE]\n\n"
).encode()

TOOL_CALL = (
    'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"I look it up."},"finish_reason":null}]}\n\n'
    'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"id":"chatcmpl-tool-1","type":"function","index":0,"function":{"name":"search","arguments":""}}]},"finish_reason":null}]}\n\n'
    'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"query\\": \\"Zü"}}]},"finish_reason":null}]}\n\n'
    'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"rich\\"}"}}]},"finish_reason":null}]}\n\n'
    'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"id":"chatcmpl-tool-2","type":"function","index":1,"function":{"name":"read","arguments":"{}"}}]},"finish_reason":null}]}\n\n'
    'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
    'data: {"id":"c","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":200,"completion_tokens":30}}\n\n'
    "data: [DONE]\n\n"
).encode()

REASONING = (
    b": keep-alive\r\n\r\n"
    b'data: {"id":"r","choices":[{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":"Let me "},"finish_reason":null}]}\r\n\r\n'
    b'data: {"id":"r","choices":[{"index":0,"delta":{"content":null,"reasoning":"think."},"finish_reason":null}]}\r\n\r\n'
    b'data: {"id":"r","choices":[{"index":0,"delta":{"content":"42"},"finish_reason":"stop"}]}\r\n\r\n'
    b'data: {"id":"r","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5}}\r\n\r\n'
    b"data: [DONE]\r\n\r\n"
)

LOGPROBS = (
    b'data: {"id":"l","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n'
    b'data: {"id":"l","choices":[{"index":0,"delta":{"content":"Yes"},"logprobs":{"content":[{"token":"Yes","logprob":-0.10536051565782628,"bytes":[89,101,115],"top_logprobs":[{"token":"Yes","logprob":-0.10536051565782628,"bytes":[89,101,115]},{"token":"No","logprob":-2.302585092994046,"bytes":[78,111]}]}]},"finish_reason":null}]}\n\n'
    b'data: {"id":"l","choices":[{"index":0,"delta":{"content":"!"},"logprobs":{"content":[{"token":"!","logprob":-0.6931471805599453,"bytes":[33],"top_logprobs":[{"token":"!","logprob":-0.6931471805599453},{"token":".","logprob":-9999.0}]}]},"finish_reason":"length"}]}\n\n'
    b'data: {"id":"l","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)

METRICS = (
    b'data: {"id":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":{"prompt_tokens":12,"total_tokens":12,"completion_tokens":0}}\n\n'
    b'data: {"id":"m","choices":[{"index":0,"delta":{"content":"ok"},"finish_reason":null}],"usage":{"prompt_tokens":12,"total_tokens":13,"completion_tokens":1}}\n\n'
    b'data: {"id":"m","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"total_tokens":14,"completion_tokens":2}}\n\n'
    b'data: {"id":"m","choices":[],"usage":{"prompt_tokens":12,"total_tokens":14,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":0,"created_cache_tokens":12}},"metrics":{"time_to_first_token_ms":24.1,"generation_time_ms":30.2,"queue_time_ms":3.5,"mean_itl_ms":3.0,"tokens_per_second":40.0}}\n\n'
    b"data: [DONE]\n\n"
)

# no usage and no [DONE] before the end of the body: the clean end is all there is
USAGE_THEN_EOF = (
    b'data: {"choices":[{"index":0,"delta":{"content":"bye"},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'
)

VLLM = (
    b'data: {"id":"chatcmpl-a25f254ab93cdb5d","object":"chat.completion.chunk","created":1795246838,"model":"small","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null}\n\n'
    b'data: {"id":"chatcmpl-a25f254ab93cdb5d","object":"chat.completion.chunk","created":1795246838,"model":"small","choices":[{"index":0,"delta":{"content":"cursive"},"logprobs":{"content":[{"token":"cursive","logprob":-8.702649116516113,"bytes":[99,117,114,115,105,118,101],"top_logprobs":[{"token":"cursive","logprob":-8.702649116516113,"bytes":[99,117,114,115,105,118,101]},{"token":"Zip","logprob":-7.502335548400879,"bytes":[90,105,112]}]}]},"finish_reason":null,"token_ids":null}]}\n\n'
    b'data: {"id":"chatcmpl-a25f254ab93cdb5d","object":"chat.completion.chunk","created":1795246838,"model":"small","choices":[{"index":0,"delta":{"content":"latform"},"logprobs":{"content":[{"token":"latform","logprob":-8.382986068725586,"bytes":[108,97,116,102,111,114,109],"top_logprobs":[{"token":"latform","logprob":-8.382986068725586,"bytes":[108,97,116,102,111,114,109]},{"token":"(_","logprob":-7.475263595581055,"bytes":[40,95]}]}]},"finish_reason":"length","stop_reason":null,"token_ids":null}]}\n\n'
    b'data: {"id":"chatcmpl-a25f254ab93cdb5d","object":"chat.completion.chunk","created":1795246838,"model":"small","choices":[],"usage":{"prompt_tokens":8,"total_tokens":11,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":0,"created_cache_tokens":0}},"system_fingerprint":"vllm-0.32.0-c60c49d3","metrics":{"time_to_first_token_ms":5.614327999865054,"generation_time_ms":4.977116999953068,"queue_time_ms":0.022754000156055554,"mean_itl_ms":2.488558499976534,"tokens_per_second":283.24747001485787}}\n\n'
    b"data: [DONE]\n\n"
)

RECORDED = {
    "vllm": VLLM,
    "plain": PLAIN,
    "tool_call": TOOL_CALL,
    "reasoning": REASONING,
    "logprobs": LOGPROBS,
    "metrics": METRICS,
    "usage_then_eof": USAGE_THEN_EOF,
}
