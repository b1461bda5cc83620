// What a reviewer did and the server has not confirmed yet. It is kept in the browser's own storage, so
// that a lost connection or a closed tab loses nothing, and sent in order. Every label carries a key of
// its own: one that is sent twice is stored once.
// Each tab writes under a name of its own, so that two do not overwrite each other, and takes over what it
// finds of others: they may be closed.

const MAX_WAIT_MS = 15_000;

export class Outbox {
  /**
   * @param {string} name one for each person and queue: nobody sends what another one has left here
   * @param {{send: (job: any) => Promise<Response>, onState: (waiting: number, offline: boolean) => void,
   *   onDone: (job: any, answer: any) => void, onRefused: (job: any, answer: any) => void, storage?: Storage}} options
   */
  constructor(name, options) {
    this.prefix = `${name}.`;
    this.name = `${this.prefix}${Math.random().toString(36).slice(2)}`;
    this.options = options;
    this.storage = options.storage || window.localStorage;
    this.jobs = this.adopt();
    this.flight = null;
    this.failures = 0;
    this.timer = 0;
  }

  adopt() {
    const names = Array.from({ length: this.storage.length }, (_, at) => this.storage.key(at)).filter((one) => one.startsWith(this.prefix));
    const jobs = names.flatMap((one) => this.read(one));
    if (jobs.length) this.storage.setItem(this.name, JSON.stringify(jobs));
    for (const one of names) this.storage.removeItem(one);
    return jobs;
  }

  read(name) {
    try {
      const jobs = JSON.parse(this.storage.getItem(name) || "[]");
      return Array.isArray(jobs) ? jobs : [];
    } catch {
      return [];
    }
  }

  write() {
    if (this.jobs.length) this.storage.setItem(this.name, JSON.stringify(this.jobs));
    else this.storage.removeItem(this.name);
  }

  /** Add a job and begin to send. */
  add(job) {
    this.jobs.push({ ...job, body: job.body || {} });
    this.write();
    this.flush();
  }

  /** Take back the newest job of a position if it has not been on its way yet; answers whether it was. */
  withdraw(position) {
    const at = this.jobs.findLastIndex((job) => job.position === position);
    if (at < 0 || this.jobs[at].tried || (this.flight && at === 0)) return false;
    this.jobs.splice(at, 1);
    this.write();
    this.tell();
    return true;
  }

  holds(position) {
    return this.jobs.some((job) => job.position === position);
  }

  tell() {
    this.options.onState(this.jobs.length, this.failures > 0);
  }

  /** Send everything in order; the same promise for all who wait. */
  flush() {
    if (!this.flight) this.flight = this.run().finally(() => { this.flight = null; this.tell(); });
    this.tell();
    return this.flight;
  }

  async run() {
    window.clearTimeout(this.timer);
    while (this.jobs.length) {
      const job = this.jobs[0];
      job.tried = true;
      this.write();
      let response;
      try {
        response = await this.options.send(job);
      } catch {
        this.later();
        return;
      }
      if (response.status >= 500 || response.status === 429) { this.later(); return; }
      const answer = await body(response);
      if (response.status === 401 || response.redirected) { this.later(); return; }
      this.failures = 0;
      this.jobs.shift();
      this.write();
      if (response.ok) this.options.onDone(job, answer); else this.options.onRefused(job, answer);
    }
  }

  later() {
    this.failures += 1;
    this.timer = window.setTimeout(() => this.flush(), Math.min(MAX_WAIT_MS, 500 * 2 ** this.failures));
  }
}

async function body(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}
