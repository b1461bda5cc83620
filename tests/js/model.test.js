import { addBodies, apply, applyDelta, body, createModel, finished, liveText, rows, spans, thought, tierLetters, tierLook, totals, trimBodies } from "/static/ui/js/model.js";
import { equal, ok, test } from "./harness.js";

/** The snapshot as the server makes it when the log's head is `head`. */
export function snapshotAt(data, head) {
  const log = data.log.slice(0, head + 1);
  const steps = log.filter((event) => event.type === "step.finished");
  const after = steps.length ? steps.at(-1).seq : -1;
  const ended = new Set(steps.map((event) => event.step));
  const open = new Set(log.filter((event) => event.type === "step.started" && !ended.has(event.step)).map((event) => event.step));
  return { run: structuredClone(data.run), steps, switches: log.filter((event) => event.type === "tier.switched"), tail: log.filter((event) => event.seq > after || open.has(event.step)), head };
}

function picture(model) {
  return { steps: finished(model), switches: [...model.switches.keys()], status: model.run.status, running: [...model.running.values()].map((one) => one.started), head: model.head, rows: rows(model).map((row) => row.key) };
}

test("a snapshot at any place plus the events after it gives the same model", (data) => {
  const whole = picture(createModel(snapshotAt(data, data.log.length - 1)));
  for (let head = 0; head < data.log.length; head += 1) {
    const model = createModel(snapshotAt(data, head));
    for (const event of data.log.slice(head + 1)) equal(apply(model, event), event.type);
    equal(picture(model), whole, `from ${head}`);
  }
});

test("an event that is known already changes nothing", (data) => {
  const model = createModel(snapshotAt(data, 20));
  const before = picture(model);
  for (const event of data.log.slice(0, 21)) equal(apply(model, event), "old");
  equal(picture(model), before);
});

test("a missing event is a gap, not a guess", (data) => {
  const model = createModel(snapshotAt(data, 10));
  equal(apply(model, data.log[12]), "gap");
  equal(model.head, 10);
});

test("bodies from events and bodies from steps.json are the same", (data) => {
  const live = createModel(snapshotAt(data, 0));
  for (const event of data.log.slice(1)) apply(live, event);
  const read = createModel(snapshotAt(data, data.log.length - 1));
  addBodies(read, data.log.filter((event) => ["model.replied", "tool.returned", "progress.judged"].includes(event.type)), 1, 12);
  for (let step = 1; step <= 12; step += 1) equal(body(read, step), body(live, step), `step ${step}`);
});

test("the figures are those of hand computation", (data) => {
  // 12 steps: 5 to 8 on the large tier (2.5 s each), the others on the small one (1 s each)
  const sums = totals(createModel(snapshotAt(data, data.log.length - 1)));
  equal([sums.steps, sums.latency, sums.switches, sums.topSteps, sums.stalls], [12, 18, 2, 4, 2]);
  equal([sums.estimate, sums.switchingRatio, sums.topTokenShare], [30, 2 / 11, 4 / 12]);
  ok(Math.abs(sums.speedup - 30 / 18) < 1e-9);
});

test("a draft that was thrown away is not the top tier's", (data) => {
  const snapshot = snapshotAt(data, data.log.length - 1);
  snapshot.drafts = [{ step: 5, output_tokens: 1, total_s: 0.5 }];
  const [without, sums] = [totals(createModel(snapshotAt(data, data.log.length - 1))), totals(createModel(snapshot))];
  equal([sums.output, sums.topOutput, sums.topLatency], [without.output, without.topOutput - 1, without.topLatency - 0.5]);
});

test("a draft that is seen live counts like one of the snapshot", (data) => {
  const model = createModel(snapshotAt(data, 0));
  for (const event of data.log.slice(1)) {
    apply(model, { ...event, seq: model.head + 1 });
    if (event.type === "model.replied" && event.step === 5) apply(model, { ...event, seq: model.head + 1, type: "draft.discarded" });
  }
  const reply = data.log.find((event) => event.type === "model.replied" && event.step === 5);
  equal(model.drafted.get(5), { output_tokens: reply.usage.output_tokens, total_s: reply.timing.total_s });
});

test("a step in which nothing was written says nothing of a tier's speed", (data) => {
  const snapshot = snapshotAt(data, data.log.length - 1);
  snapshot.steps = structuredClone(snapshot.steps);
  snapshot.steps[4].usage.output_tokens = 0;
  snapshot.steps[4].latency.total_s = 0.01;
  const sums = totals(createModel(snapshot));
  equal([sums.topSteps, sums.topMean], [4, 2.5]);
  equal(sums.estimate, 11 * 2.5 + 0.01);
});

test("an unknown cost stays unknown", (data) => {
  const snapshot = snapshotAt(data, data.log.length - 1);
  snapshot.steps = structuredClone(snapshot.steps);
  snapshot.steps[3].cost_usd = null;
  equal(totals(createModel(snapshot)).cost, null);
});

test("spans split where the tier, the level or the budget begins anew", (data) => {
  const model = createModel(snapshotAt(data, data.log.length - 1));
  equal(spans(model).map((span) => [span.tier, span.level, span.from, span.to]), [[0, 0, 1, 4], [1, 1, 5, 8], [0, 0, 9, 12]]);
});

function running(data) {
  const head = data.log.findIndex((event) => event.type === "step.started");
  return createModel(snapshotAt(data, head));
}

test("streaming text joins by code points, overlaps are dropped, gaps are shown", (data) => {
  const model = running(data);
  const delta = (offset, text, attempt = 0) => ({ type: "model.delta", step: 1, purpose: "think", attempt, offset, text, kind: "text" });
  applyDelta(model, delta(0, "a😀b"));
  applyDelta(model, delta(2, "bc"));
  equal(liveText(model.running.get("")), "a😀bc");
  applyDelta(model, delta(4, "d"));
  equal(liveText(model.running.get("")), "a😀bcd");
  applyDelta(model, delta(9, "later"));
  equal(liveText(model.running.get("")), "… later");
});

test("a new attempt replaces the text of the one before; late text of an old one is dropped", (data) => {
  const model = running(data);
  const delta = (attempt, text) => ({ type: "model.delta", step: 1, purpose: "think", attempt, offset: 0, text, kind: "text" });
  applyDelta(model, delta(0, "broken"));
  applyDelta(model, delta(1, "whole"));
  equal(applyDelta(model, delta(0, "broken again")), false);
  equal(liveText(model.running.get("")), "whole");
  equal(applyDelta(model, { ...delta(1, "x"), step: 9 }), false);
});

test("the verdict block is cut out of the thought only where it stands", () => {
  const raw = "<progress>r</progress>";
  equal(thought({ text: `before\n${raw}\nafter` }, { raw }), "before\nafter");
  equal(thought({ text: "nothing here" }, { raw }), "nothing here");
  equal(thought({ text: ` ${raw} ` }, null), raw);
});

test("tiers have looks and letters on any ladder", () => {
  equal([0, 1, 2, 3].map((tier) => tierLook(tier, 4).key), ["small", "mid", "mid-2", "large"]);
  equal(tierLook(0, 1).key, "small");
  equal(tierLetters(["small", "large"]), ["S", "L"]);
  equal(tierLetters(["s1", "s2", "s3"]), ["1", "2", "3"]);
});

test("bodies far away are forgotten, near ones kept", (data) => {
  const model = createModel(snapshotAt(data, data.log.length - 1));
  addBodies(model, [], 1, 12);
  trimBodies(model, 6, 3);
  equal([...model.bodies.keys()].sort((a, b) => a - b), [5, 6, 7]);
});
