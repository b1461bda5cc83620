"""What a finished step shows of its own progress beside the agent's word for it.

Everything here follows from the step records of one agent instance, in order: a live run, a fork, a
replay and a training set see the same. Texts are hostile; they are only compared and counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from collab_core.domain import StepRecord, ToolCall
from collab_core.learned.dataset import canonical_action

_REFERENCE = re.compile(
    r"^(?:\[[\w-]{1,40}\] [^\n]{1,300}|Page \S{1,800}|    https?://\S{1,400})", re.MULTILINE
)
"""A document as the tools show it: a hit or a page of a collection, a page or a hit of the web."""
_MAX_CHARS = 100_000
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(f"[{_CJK}]{{2,}}|[^\\W{_CJK}_]{{3,}}")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One action and what came of it."""

    acted: bool = False
    """It called a tool."""
    repeated: bool = False
    """The same call, in whatever spelling, was made before."""
    seen_before: bool = False
    """The same observation, character for character, was made before."""
    failed: bool = False
    """The tool answered with an error."""
    new_documents: int = 0
    """Documents that this tool shows for the first time."""
    documents: int = 0


NOTHING = Shown()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A finished step in numbers."""

    position: int
    """From 1 in its agent instance."""
    own: Shown
    """Of the step's own action."""
    judged: Shown | None
    """Of the action that its verdict is about: the step before, as an inline verdict is written before
    the step acts; its own where the check comes after. None = there was nothing to judge."""
    since_new: int
    """Steps since the latest one that showed a new document, this one included; 0 = it did."""
    stalls: int
    """Steps in a row before this one whose verdict was "no progress"."""
    rationale_chars: int
    rationale_repeated: bool
    """Word for word that of an earlier step."""
    rationale_news: int
    """Different words of the rationale that the judged observation brought: no earlier one has them."""
    action_news: int
    """Different words of the call's arguments that the observation before it brought."""


class Tracker:
    """Reads one agent instance's steps, each once and in order."""

    def __init__(self) -> None:
        self._actions: set[str] = set()
        self._observations: set[int] = set()
        self._documents: set[tuple[str, str]] = set()
        self._rationales: set[str] = set()
        self._words: set[str] = set()
        """Of all observations so far."""
        self._news: set[str] = set()
        """Of the latest one, those that no earlier one has."""
        self._last: Shown | None = None
        self._position = 0
        self._since_new = 0
        self._stalls = 0

    def add(self, step: StepRecord) -> Evidence:
        """Return what ``step``, the next one, shows."""
        self._position += 1
        own = self._shown(step)
        before, self._news = self._news, words_of(step.observation) - self._words
        self._words |= self._news
        self._since_new = 0 if own.new_documents else self._since_new + 1
        inline = "<progress>" in step.text
        rationale = " ".join(step.check.rationale.lower().split())
        evidence = Evidence(
            position=self._position,
            own=own,
            judged=self._last if inline else own,
            since_new=self._since_new,
            stalls=self._stalls,
            rationale_chars=len(rationale),
            rationale_repeated=bool(rationale) and rationale in self._rationales,
            rationale_news=len(words_of(rationale) & (before if inline else self._news)),
            action_news=len(words_of(step.tool_arguments) & before),
        )
        self._last = own
        self._rationales.add(rationale)
        self._stalls = self._stalls + 1 if step.check.indicator == 0 else 0
        return evidence

    def _shown(self, step: StepRecord) -> Shown:
        if not step.tool_name:
            return NOTHING
        call = ToolCall(id="", name=step.tool_name, arguments=step.tool_arguments)
        action = canonical_action(call, None)
        # the same length and hash of two long texts is the same text, for what this is used for
        observation = hash((len(step.observation), step.observation))
        found = {
            (step.tool_name, match.group())
            for match in _REFERENCE.finditer(step.observation[:_MAX_CHARS])
        }
        shown = Shown(
            acted=True,
            repeated=action in self._actions,
            seen_before=observation in self._observations,
            failed=step.tool_error,
            new_documents=len(found - self._documents),
            documents=len(found),
        )
        self._actions.add(action)
        self._observations.add(observation)
        self._documents |= found
        return shown


def words_of(text: str) -> set[str]:
    """Return the different words of at least three letters; of Chinese, Japanese and Korean text,
    which has no spaces, the pairs of neighbouring characters.

    >>> sorted(words_of("The Bell of Ur, 1250: the bell")), sorted(words_of("北京市"))
    (['1250', 'bell', 'the'], ['京市', '北京'])
    """
    found: set[str] = set()
    for word in _WORD.findall(text[:_MAX_CHARS].casefold()):
        if word[0] >= "\u3040":
            found.update(word[at : at + 2] for at in range(len(word) - 1))
        else:
            found.add(word)
    return found
