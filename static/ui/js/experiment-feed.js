// How far an experiment is, from its socket: the latest word only, again after any break.
import { backoff } from "./live.js";

const CLOSED_FOR_GOOD = { 4401: "signed-out", 4404: "gone", 4409: "removed" };

/**
 * @param {string} path "/ws/experiments/<uuid>/"
 * @param {{onProgress: (progress: any) => void, onState: (state: string) => void}} on states: live, reconnecting, signed-out, gone, removed
 */
export function watch(path, on) {
  let tries = 0;
  let timer = 0;
  let socket = null;

  function connect() {
    timer = 0;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(`${scheme}//${location.host}${path}`);
    socket.addEventListener("message", ({ data }) => { tries = 0; on.onState("live"); on.onProgress(JSON.parse(data)); });
    socket.addEventListener("close", ({ code }) => {
      socket = null;
      if (CLOSED_FOR_GOOD[code]) { on.onState(CLOSED_FOR_GOOD[code]); return; }
      on.onState("reconnecting");
      timer = window.setTimeout(connect, backoff(tries));
      tries += 1;
    });
  }

  window.addEventListener("offline", () => { on.onState("reconnecting"); socket?.close(); });
  window.addEventListener("online", () => { if (!socket) { clearTimeout(timer); tries = 0; connect(); } });
  connect();
}
