"""Make a tiny chat model with random weights on the spot: nothing is downloaded.

Runs in the vLLM environment: ``python make_model.py DIR --size small``. Its text is noise; what the
tests look at is the server around it.
"""

from __future__ import annotations

import argparse
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

SIZES = {"small": (128, 2, 4), "large": (256, 4, 8)}
"""Hidden width, layers, heads."""
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
TEMPLATE = (
    "{%- if tools %}<|im_start|>system\n# Tools\n"
    "{%- for tool in tools %}\n{{ tool | tojson }}{%- endfor %}<|im_end|>\n{%- endif %}"
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n"
    "{%- if message.content is string %}{{ message.content }}{%- endif %}"
    "{%- for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>"
    "{%- endfor %}<|im_end|>\n{%- endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{%- endif %}"
)


def _corpus() -> Iterator[str]:
    """Yield the standard library's own modules: always there, and text enough for 4,096 tokens."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        yield path.read_text(encoding="utf-8", errors="replace")


def make_tokenizer(target: Path) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE and write it with a ChatML template."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(_corpus(), vocab_size=4096, special_tokens=SPECIAL)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        model_max_length=8192,
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(target)
    return tokenizer


def make_model(target: Path, size: str) -> int:
    """Write config, weights and tokenizer to ``target``; return the number of parameters."""
    tokenizer = make_tokenizer(target)
    hidden, layers, heads = SIZES[size]
    torch.manual_seed(7)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=hidden * 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen2ForCausalLM(config)
    model.save_pretrained(target)
    return sum(p.numel() for p in model.parameters())


def main() -> None:
    """Make one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    options = parser.parse_args()
    options.target.mkdir(parents=True, exist_ok=True)
    count = make_model(options.target, options.size)
    print(f"{options.target}: {count:,} parameters")


if __name__ == "__main__":
    main()
