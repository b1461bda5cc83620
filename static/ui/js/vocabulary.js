// Generated from collab_core/events.py by `python manage.py write_vocabulary`. Do not edit.

export const SCHEMA_VERSION = 1;

export const EVENTS = Object.freeze({
  "runQueued": "run.queued",
  "runStarted": "run.started",
  "runResumed": "run.resumed",
  "stepStarted": "step.started",
  "modelReplied": "model.replied",
  "scorerReturned": "scorer.returned",
  "draftDiscarded": "draft.discarded",
  "toolReturned": "tool.returned",
  "progressJudged": "progress.judged",
  "tierSwitched": "tier.switched",
  "stepFinished": "step.finished",
  "runFinished": "run.finished",
  "runFailed": "run.failed",
  "runCancelled": "run.cancelled"
});

/** Streaming text: shown live, never stored, never numbered. */
export const DELTA = "model.delta";

/** After one of these nothing follows. */
export const TERMINAL = new Set(["run.cancelled", "run.failed", "run.finished"]);
