// A WebSocket that comes back. Copy this file; it needs nothing else.
//
//   const connection = new Connection("/ws");
//   connection.addEventListener("open", () => connection.send(JSON.stringify({type: "hello"})));
//   connection.addEventListener("message", e => show(e.detail));
//   connection.addEventListener("waiting", e => notice(`back in ${Math.ceil(e.detail.delay / 1000)} s`));
//   connection.addEventListener("closed", e => notice(`not coming back: ${e.detail.code}`));
//   connection.open();
//
// State:  closed -> connecting -> open -> waiting -> connecting ..., and closed when there is no coming back.
// Events: "connecting"; "open"; "message", detail: the data; "waiting", detail: {delay, code, reason}, delay in
//         milliseconds; "closed", detail: {code, reason}.
//
// Each "open" is a new connection to a server that knows nothing of the one before: say in "open" who you are and
// what you have seen. What was sent just before a loss may or may not have arrived.

// comesBack says whether to connect again after a close code: not when the server was done with us (1000), does not
// want us (1008), or closed with a code of the application's own (4000 to 4999).
export function comesBack(code) {
  return code !== 1000 && code !== 1008 && !(code >= 4000 && code <= 4999);
}

// retryAfter is the N, in milliseconds, of a close reason that ends with "retry-after=N", or null. The server has drawn
// N at random, so that its clients do not all come at once. No hint makes a client wait longer than an hour.
export function retryAfter(closeReason) {
  const hint = /(?:^|\s)retry-after=(\d{1,9})$/.exec(closeReason ?? "");
  return hint ? Math.min(Number(hint[1]), 3600) * 1000 : null;
}

// backoff is how long to wait before an attempt, the first being 0: anything between nothing and base x 2^attempt, at
// most cap. That is "full jitter"; it spreads the clients of a server that went away better than a fixed wait with a
// little noise.
export function backoff(attempt, base, cap, random = Math.random) {
  return random() * Math.min(cap, base * 2 ** attempt);
}

export class Connection extends EventTarget {
  #url; #options; #socket = null; #timer = 0; #attempt = 0;
  state = "closed";

  // All options are in milliseconds. connectTimeout: an attempt that takes longer has failed. stable: a connection that
  // lasted so long was a good one, and the next wait is short again.
  constructor(url, {base = 500, cap = 30_000, connectTimeout = 10_000, stable = 5_000} = {}) {
    super();
    this.#url = url;
    this.#options = {base, cap, connectTimeout, stable};
  }

  // open connects, and connects again whenever the connection is lost. It does nothing unless the state is closed.
  open() {
    if (this.state !== "closed") return;
    this.#attempt = 0;
    addEventListener("online", this.#online);
    this.#connect();
  }

  // send says whether the data were given to the browser. While there is no connection nothing is sent or kept.
  send(data) {
    if (this.state !== "open" || this.#socket.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(data);
    return true;
  }

  // close ends it for good, until the next open.
  close(code = 1000, reason = "") {
    if (this.state === "closed") return;
    const socket = this.#release();
    socket?.close(code, reason);
    this.#closed({code, reason});
  }

  #connect() {
    const url = new URL(this.#url, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = this.#socket = new WebSocket(url);
    let opened = Infinity;
    const lost = (code, reason) => {
      this.#release();
      if (!comesBack(code)) return this.#closed({code, reason});
      if (Date.now() - opened >= this.#options.stable) this.#attempt = 0;
      const {base, cap} = this.#options;
      const delay = retryAfter(reason) ?? backoff(this.#attempt, base, cap);
      this.#attempt++;
      this.#timer = setTimeout(() => this.#connect(), delay);
      this.#become("waiting", {delay, code, reason});
    };
    socket.onopen = () => {
      clearTimeout(this.#timer);
      opened = Date.now();
      this.#become("open");
    };
    socket.onmessage = e => this.dispatchEvent(new CustomEvent("message", {detail: e.data}));
    socket.onclose = e => lost(e.code, e.reason);
    this.#timer = setTimeout(() => { socket.close(); lost(1006, ""); }, this.#options.connectTimeout);
    this.#become("connecting");
  }

  // #release forgets the socket and the timer; nothing of them is heard from then on.
  #release() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    return socket;
  }

  #closed(detail) {
    removeEventListener("online", this.#online);
    this.#become("closed", detail);
  }

  #become(state, detail) {
    this.state = state;
    this.dispatchEvent(new CustomEvent(state, {detail}));
  }

  // The network is back: no reason to sit out a long wait. A short one remains, since others are back as well.
  #online = () => {
    if (this.state !== "waiting") return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), backoff(0, this.#options.base, this.#options.cap));
  };
}
