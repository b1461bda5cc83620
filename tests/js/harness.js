// A very small test bench that runs in a page: files register tests, run() answers what failed.
const tests = [];

export function test(name, body) {
  tests.push([name, body]);
}

export function equal(actual, expected, what = "") {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what} expected ${b}, got ${a}`);
}

export function ok(value, what = "expected something true") {
  if (!value) throw new Error(what);
}

/** Run everything registered so far; the data comes from Python. */
export async function run(data) {
  const failures = [];
  for (const [name, body] of tests) {
    try {
      await body(data);
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
    }
  }
  return { ran: tests.length, failures };
}
