// The page of socket/observer. It reads the JSON of api/v1 by one live connection (see the package's documentation), shows one view of
// it at a time, and comes back when the connection is lost. The address after # says which view, of what, and in which order.
//
// Labels, names, reasons and frames may have been written by strangers: they only ever become text nodes, cut and with control
// characters made visible (see clean). All that is kept has a bound: WINDOW of points in charts, TAP_LINES of a tap.

const VERSION = 1;           // of the API
const WINDOW = 5 * 60_000;   // of the charts, in ms
const POINTS = 330;          // at most, of the charts
const TAP_LINES = 500;       // at most, and as many again while a tap is paused
const SILENCE = 20_000;      // ms without a word of the server: the connection is dead
const TREE_FOLD = 40;        // a node with more children starts folded

// # Texts and numbers

const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

// clean is what is shown of a text: at most so many characters, with control characters as signs.
function clean(value, most = 4096) {
  let s = String(value ?? "");
  if (s.length > most) s = s.slice(0, most) + "…";
  return s.replace(controls, c => c < " " ? String.fromCharCode(0x2400 + c.charCodeAt(0)) : c === "\u007f" ? "\u2421" : "\ufffd");
}

const whole = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const upTo1 = new Intl.NumberFormat("en", {maximumFractionDigits: 1});
const upTo2 = new Intl.NumberFormat("en", {maximumFractionDigits: 2});

const count = n => whole.format(n ?? 0);

// few is a number in at most five characters or so, for tiles and charts.
function few(n) {
  n ??= 0;
  for (const [unit, size] of [["G", 1e9], ["M", 1e6]]) if (n >= size) return upTo2.format(n / size) + " " + unit;
  return n >= 99_999.5 ? upTo1.format(n / 1000) + " k" : n >= 100 ? whole.format(n) : n >= 10 ? upTo1.format(n) : upTo2.format(n);
}

function bytes(n) {
  n ??= 0;
  for (const [unit, size] of [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (n >= size) return (n >= 100 * size ? whole : upTo1).format(n / size) + " " + unit;
  }
  return whole.format(n) + " B";
}

// span is a duration in ms.
function span(ms) {
  if (ms == null) return "";
  if (ms < 0) return "";
  if (ms === 0) return "0 ms";
  if (ms < 1) return upTo2.format(ms) + " ms";
  if (ms < 1000) return (ms < 10 ? upTo1 : whole).format(ms) + " ms";
  const s = Math.floor(ms / 1000);
  if (s < 60) return (s < 10 ? upTo1.format(ms / 1000) : s) + " s";
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]], i = parts.findIndex(([size]) => s >= size);
  const [size, unit] = parts[i], rest = parts[i + 1] && Math.floor(s % size / parts[i + 1][0]);
  return Math.floor(s / size) + " " + unit + (rest ? " " + rest + " " + parts[i + 1][1] : "");
}

const since = (at, now) => at ? span(Math.max(new Date(now) - new Date(at), 0)) : "";

function clock(at, fraction = false) {
  if (!at) return "";
  const t = new Date(at), two = n => String(n).padStart(2, "0");
  if (isNaN(t)) return "";
  const time = [t.getHours(), t.getMinutes(), t.getSeconds()].map(two).join(":") + (fraction ? "." + String(t.getMilliseconds()).padStart(3, "0") : "");
  return t.toDateString() === new Date().toDateString() ? time : [t.getFullYear(), two(t.getMonth() + 1), two(t.getDate())].join("-") + " " + time;
}

const byName = new Intl.Collator("en", {numeric: true});
const plural = (n, one, many = one + "s") => count(n) + " " + (n === 1 ? one : many);
const sum = (list, f) => (list ?? []).reduce((n, x) => n + (f(x) ?? 0), 0);

// # Elements

const SVG = "http://www.w3.org/2000/svg";

function build(el, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) el.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children) if (child != null) el.append(child instanceof Node ? child : clean(child));
  return el;
}

const h = (name, props, ...children) => build(document.createElement(name), props, children);
const svg = (name, props, ...children) => build(document.createElementNS(SVG, name), props, children);

// put sets the text of an element, if it is another one.
function put(el, value, most) {
  const s = clean(value, most);
  if (el.textContent !== s) el.textContent = s;
}

function attr(el, name, value) {
  if (value == null || value === false) el.removeAttribute(name);
  else if (el.getAttribute(name) !== String(value)) el.setAttribute(name, value);
}

// arrange makes these the children of an element, in this order, and keeps the focus where it is.
function arrange(parent, children) {
  const focus = document.activeElement, keep = new Set(children);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  let at = parent.firstChild;
  for (const child of children) {
    if (child === at) at = at.nextSibling;
    else parent.insertBefore(child, at);
  }
  if (focus && focus !== document.activeElement && focus.isConnected) focus.focus({preventScroll: true});
}

function panel(title, ...children) {
  return h("section", {class: "panel"}, h("h2", null, title), ...children);
}

const processHref = pid => "#/process/" + encodeURIComponent(pid);

// # The live connection

// Live is the connection: it opens again when it is lost, later and later, at random times, and then watches and taps what it did
// before. Events: "state", "snapshot", "message".
class Live extends EventTarget {
  state = "connecting"; // open, waiting
  why = "";
  next = 0;             // when it is tried again
  lastWord = 0;
  #socket = null;
  #timer = 0;
  #failures = 0;
  #paths = [];
  #taps = new Set();

  open() {
    clearTimeout(this.#timer);
    const url = new URL("api/v1/live", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    url.hash = "";
    const ws = this.#socket = new WebSocket(url);
    let opened = 0;
    this.lastWord = Date.now();
    this.#set("connecting", this.why);
    ws.onopen = () => {
      opened = this.lastWord = Date.now();
      this.#set("open", "");
      this.#send({op: "watch", paths: this.#paths});
      for (const pid of this.#taps) this.#send({op: "tap", pid});
    };
    ws.onmessage = ({data}) => {
      this.lastWord = Date.now();
      const m = JSON.parse(data);
      this.dispatchEvent(new CustomEvent(m.type === "snapshot" ? "snapshot" : "message", {detail: m}));
    };
    ws.onclose = ({code}) => {
      if (ws !== this.#socket) return;
      if (opened && Date.now() - opened > 5000) this.#failures = 0;
      this.#again(code === 1012 && opened ? 1000 * Math.random() : backoff(this.#failures++), opened ? "The connection was lost." : "");
      if (!opened) this.#ask();
    };
  }

  // check ends a connection on which nothing comes any more, be it that the network has swallowed its end.
  check() {
    if (this.state !== "open" || Date.now() - this.lastWord < SILENCE) return;
    const dead = this.#socket;
    this.#socket = null;
    dead.close();
    this.#again(backoff(this.#failures++), "Nothing has come from the server for " + span(SILENCE) + ".");
  }

  watch(paths) {
    if (paths.join("\n") === this.#paths.join("\n")) return;
    this.#paths = paths;
    this.#send({op: "watch", paths});
  }

  tap(pid) { this.#taps.add(pid); this.#send({op: "tap", pid}); }
  untap(pid) { if (this.#taps.delete(pid)) this.#send({op: "untap", pid}); }
  forget(pid) { this.#taps.delete(pid); }

  #send(m) { if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(m)); }

  #again(delay, why) {
    this.next = Date.now() + delay;
    this.#timer = setTimeout(() => this.open(), delay);
    this.#set("waiting", why || this.why);
  }

  // ask finds out why there is no connection: a WebSocket does not say.
  async #ask() {
    let why;
    try {
      const r = await fetch("api/v1/me");
      if (r.ok) why = "The server answers, but takes no further live connection.";
      else why = r.status === 403 ? "The server says that this browser may not look (403)." : "The server answers with status " + r.status + ".";
    } catch {
      why = "The server does not answer.";
    }
    if (this.state !== "open") this.#set(this.state, why);
  }

  #set(state, why) {
    this.state = state;
    this.why = why;
    this.dispatchEvent(new Event("state"));
  }
}

// backoff is how long to wait before an attempt, in ms, after so many that have failed.
function backoff(failures) {
  return 250 + Math.random() * Math.min(15_000, 500 * 2 ** Math.min(failures, 10));
}

async function post(path, body) {
  const r = await fetch("api/v1/" + path, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
  let answer = {};
  try { answer = await r.json(); } catch { /* no JSON: the status says it */ }
  if (!r.ok) throw new Error(answer.error?.message || "The server answers with status " + r.status + ".");
  return answer;
}

// # The last minutes

const causes = ["normal", "remote", "shutdown", "timeout", "overload", "protocol", "panic", "error", "killed"];

// History keeps the overview of the last minutes as points: gauges as they were, counters as what came since the point before.
class History {
  points = [];
  last = null;    // the last overview
  before = null;  // the one before it
  #used = null;   // of the CPU, when that was last known

  add(o) {
    const t = Date.parse(o.at);
    if (this.last && t <= Date.parse(this.last.at)) return;
    const old = this.before = this.last?.since === o.since ? this.last : null;
    this.last = o;
    const dt = old ? (t - Date.parse(old.at)) / 1000 : 0;
    const total = (v, f) => sum(v.servers, f);
    const rate = f => dt > 0 ? Math.max(f(o) - f(old), 0) / dt : null;
    const p = {
      t, gap: dt === 0 || dt > 15,
      open: total(o, s => s.open), asleep: total(o, s => s.asleep),
      opened: rate(v => total(v, s => s.opened)), refused: rate(v => total(v, s => sum(s.refused, r => r.count))),
      framesIn: rate(v => total(v, s => s.read.frames)), framesOut: rate(v => total(v, s => s.written.frames)),
      bytesIn: rate(v => total(v, s => s.read.bytes)), bytesOut: rate(v => total(v, s => s.written.bytes)),
      dropped: rate(v => total(v, s => s.dropped)),
      lag: Math.max(0, ...o.servers.map(s => s.lag_max_ms ?? 0)), mailbox: Math.max(0, ...o.servers.map(s => s.mailbox_max ?? 0)),
      processes: o.system.processes, undelivered: rate(v => v.system.undelivered),
      restarts: rate(v => sum(v.supervisors, s => s.restarts)),
      cpu: this.#cpu(t, o.runtime.cpu_ms), memory: o.runtime.memory_bytes, goroutines: o.runtime.goroutines,
      ended: rate(v => total(v, s => sum(causes, c => s.closed[c]))),
      ends: causes.map(c => old ? Math.max(total(o, s => s.closed[c]) - total(old, s => s.closed[c]), 0) : 0),
    };
    this.points.push(p);
    while (this.points.length > POINTS || this.points[0].t < t - WINDOW) this.points.shift();
  }

  // cpu is what is used of one core, in %. The Go runtime says it anew once in a while only.
  #cpu(t, ms) {
    if (!this.#used || ms < this.#used.ms) this.#used = {t, ms, rate: null};
    else if (ms > this.#used.ms) this.#used = {t, ms, rate: (ms - this.#used.ms) / (t - this.#used.t) * 100};
    return this.#used.rate;
  }
}

// stretch is how much time charts show, in ms: it grows with what there is, from a minute to WINDOW.
const stretch = points => points.length ? Math.min(WINDOW, Math.max(60_000, points.at(-1).t - points[0].t)) : 60_000;

// Chart draws one or two series of points as an area and a line.
class Chart {
  static W = 240; static H = 46;
  constructor(label, series, format) {
    Object.assign(this, {label, series, format});
    this.paths = series.map((_, i) => [svg("path", {class: "area s" + i}), svg("path", {class: "line s" + i})]);
    this.cursor = svg("path", {class: "cursor"});
    this.el = svg("svg", {class: "chart", role: "img", viewBox: `0 0 ${Chart.W} ${Chart.H}`, preserveAspectRatio: "none"},
      svg("path", {class: "base", d: `M0 ${Chart.H - .5}H${Chart.W}`}), ...this.paths.flat(), this.cursor);
    this.el.addEventListener("pointermove", e => this.#look(e));
    this.el.addEventListener("pointerleave", () => { this.looked = null; this.cursor.removeAttribute("d"); this.onlook?.(null); });
  }

  draw(points) {
    this.points = points;
    const {W, H} = Chart, end = points.at(-1)?.t ?? 0;
    this.stretch = stretch(points);
    const most = Math.max(1e-9, ...points.flatMap(p => this.series.map(s => p[s] ?? 0)));
    const x = p => W - (end - p.t) / this.stretch * W, y = v => H - 1 - v / most * (H - 5);
    this.series.forEach((key, i) => {
      let line = "", area = "", first = null, before = null;
      const close = () => { if (before) area += `L${x(before).toFixed(1)} ${H}L${x(first).toFixed(1)} ${H}Z`; };
      for (const p of points) {
        if (p[key] == null) continue;
        const to = `${x(p).toFixed(1)} ${y(p[key]).toFixed(1)}`;
        if (!before || p.gap && before.t < p.t) { close(); line += "M" + to; area += "M" + to; first = p; }
        else { line += "L" + to; area += "L" + to; }
        before = p;
      }
      close();
      this.paths[i][0].setAttribute("d", area);
      this.paths[i][1].setAttribute("d", line);
    });
    this.most = most > 1e-9 ? most : 0;
    const now = points.at(-1)?.[this.series[0]];
    attr(this.el, "aria-label", `${this.label}, last ${span(this.stretch)}: now ${this.format(now ?? 0)}, at most ${this.format(this.most)}`);
  }

  #look(e) {
    if (!this.points?.length) return;
    const box = this.el.getBoundingClientRect(), end = this.points.at(-1).t;
    const t = end - (1 - (e.clientX - box.left) / box.width) * this.stretch;
    const p = this.points.reduce((a, b) => Math.abs(b.t - t) < Math.abs(a.t - t) ? b : a);
    this.cursor.setAttribute("d", `M${(Chart.W - (end - p.t) / this.stretch * Chart.W).toFixed(1)} 0V${Chart.H}`);
    this.onlook?.(p);
  }
}

// tile is a number with its chart. note says something else of the last overview.
function tile(label, series, format, note) {
  const chart = new Chart(label, series, format), value = h("p", {class: "value"}), side = h("p", {class: "note" + (series[1] ? " s1" : "")}), most = h("p", {class: "most"});
  let now = null, o = null, looked = null;
  const show = () => {
    const p = looked ?? now;
    if (!p) return;
    put(value, p[series[0]] == null ? "–" : format(p[series[0]]));
    put(side, looked ? "at " + clock(looked.t) : note(o, now));
    put(most, "max " + format(chart.most));
  };
  chart.onlook = p => { looked = p; show(); };
  return {
    el: h("article", {class: "tile"}, h("h2", null, label), value, side, chart.el, most),
    update(history) { now = history.points.at(-1); o = history.last; chart.draw(history.points); show(); },
  };
}

// EndsChart is a stack of bars: how many sockets have ended in each stretch of the last minutes, by cause.
class EndsChart {
  static W = 600; static H = 90; static BARS = 60;
  constructor() {
    this.bars = causes.map((c, i) => svg("path", {class: "cause c" + i}));
    this.el = svg("svg", {class: "chart ends", role: "img", viewBox: `0 0 ${EndsChart.W} ${EndsChart.H}`, preserveAspectRatio: "none"},
      svg("path", {class: "base", d: `M0 ${EndsChart.H - .5}H${EndsChart.W}`}), ...this.bars);
    this.rows = causes.map((c, i) => ({name: c, i, el: h("tr", null, h("th", {scope: "row"}, h("i", {class: "key c" + i}), c), h("td"), h("td"))}));
    this.list = h("table", {class: "legend"}, h("caption", {class: "unseen"}, "Ends by cause"),
      h("thead", null, h("tr", null, h("th", {scope: "col"}, "Cause"), h("th", {scope: "col"}, "5 min"), h("th", {scope: "col"}, "Total"))),
      h("tbody", null, ...this.rows.map(r => r.el)));
  }

  update(history) {
    const {W, H, BARS} = EndsChart, width = WINDOW / BARS, end = Math.ceil((history.points.at(-1)?.t ?? 0) / width) * width;
    const stacks = Array.from({length: BARS}, () => causes.map(() => 0));
    for (const p of history.points) {
      const bar = BARS - 1 - Math.floor((end - p.t) / width);
      if (bar >= 0 && bar < BARS) p.ends.forEach((n, i) => { stacks[bar][i] += n; });
    }
    const most = Math.max(1, ...stacks.map(s => sum(s, n => n))), paths = causes.map(() => "");
    stacks.forEach((stack, b) => {
      let y = H - 1;
      stack.forEach((n, i) => {
        if (!n) return;
        const high = n / most * (H - 6);
        paths[i] += `M${(b * W / BARS + 1).toFixed(1)} ${y.toFixed(1)}v${(-high).toFixed(1)}h${W / BARS - 2}v${high.toFixed(1)}z`;
        y -= high;
      });
    });
    const recent = causes.map((_, i) => sum(history.points, p => p.ends[i]));
    paths.forEach((d, i) => this.bars[i].setAttribute("d", d));
    this.rows.forEach(({name, i, el}) => {
      const total = sum(history.last.servers, s => s.closed[name]);
      put(el.children[1], count(recent[i]));
      put(el.children[2], count(total));
      el.classList.toggle("none", !total);
    });
    attr(this.el, "aria-label", "Ends of sockets, last 5 minutes: " + (causes.map((c, i) => recent[i] ? c + " " + count(recent[i]) : "").filter(Boolean).join(", ") || "none"));
  }
}

// # Tables and facts

// Table shows rows by key, so that what has the focus keeps it while rows come, go and move. A column:
// {title, sort, num, wide, low, text(row, now), href(row), cls(row), hint}; low: not on a phone.
class Table {
  #lines = new Map();
  constructor({caption, columns, key, empty = "There is nothing here.", onsort}) {
    Object.assign(this, {columns, key});
    this.body = h("tbody");
    this.heads = columns.map(c => h("th", {scope: "col", class: [c.num && "num", c.low && "low"].filter(Boolean).join(" ") || null, title: c.hint},
      c.sort ? h("button", {onclick: () => onsort(c.sort)}, c.title) : c.title));
    this.empty = h("p", {class: "empty"}, empty);
    this.box = h("div", {class: "scroll", role: "region", tabindex: 0, "aria-label": caption},
      h("table", null, h("caption", {class: "unseen"}, caption), h("thead", null, h("tr", null, ...this.heads)), this.body));
    this.el = h("div", {class: "list"}, this.box, this.empty);
    this.empty.hidden = true;
  }

  sorted(sort, order) {
    this.columns.forEach((c, i) => {
      if (c.sort) attr(this.heads[i], "aria-sort", c.sort !== sort ? "none" : order === "asc" ? "ascending" : "descending");
    });
  }

  update(rows, now) {
    const lines = new Map();
    for (const row of rows) {
      const key = this.key(row);
      const line = lines.get(key) ?? this.#lines.get(key) ?? this.#line();
      this.columns.forEach((c, i) => this.#cell(line.cells[i], c, row, now));
      lines.set(key, line);
    }
    this.#lines = lines;
    arrange(this.body, [...lines.values()].map(l => l.el));
    this.box.hidden = rows.length === 0;
    this.empty.hidden = rows.length > 0;
  }

  #line() {
    const cells = this.columns.map((c, i) => {
      const inner = c.href ? h("a") : h("span");
      return {el: h(i === 0 ? "th" : "td", {scope: i === 0 ? "row" : null}, inner), inner};
    });
    return {el: h("tr", null, ...cells.map(c => c.el)), cells};
  }

  #cell(cell, column, row, now) {
    const text = column.text(row, now);
    put(cell.inner, text, 300);
    if (column.href) attr(cell.inner, "href", column.href(row));
    const cls = [column.num && "num", column.low && "low", column.mono && "mono", column.wide && "wide", column.cls?.(row)].filter(Boolean).join(" ");
    if (cell.el.className !== cls) cell.el.className = cls;
    if (String(text ?? "").length > 24) attr(cell.el, "title", clean(text, 1100));
    else cell.el.removeAttribute("title");
  }
}

// listNote says how much of it all is shown.
function listNote(d, what) {
  const shown = d.rows.length, some = shown < d.matched ? `The first ${count(shown)} of ${count(d.matched)}` : count(d.matched);
  if (d.sampled) return `A sample: ${count(d.looked)} of ${plural(d.of, what.slice(0, -1), what)} were looked at. ${some} that match.`;
  return d.matched === d.of ? (shown < d.of ? `${some} ${what}.` : plural(d.of, what.slice(0, -1), what) + ".") : `${some} that match, of ${plural(d.of, what.slice(0, -1), what)}.`;
}

// Facts is a list of terms and values, [term, value, href]; those without a value are left out.
class Facts {
  el = h("dl", {class: "facts"});
  #pairs = new Map();
  update(facts) {
    const pairs = new Map();
    for (const [term, value, href] of facts) {
      if (value === "" || value == null) continue;
      const kind = href ? "a" : "span";
      let pair = this.#pairs.get(term);
      if (pair?.kind !== kind) {
        const inner = h(kind);
        pair = {kind, inner, el: h("div", null, h("dt", null, term), h("dd", null, inner))};
      }
      put(pair.inner, value, 1100);
      if (href) attr(pair.inner, "href", href);
      pairs.set(term, pair);
    }
    this.#pairs = pairs;
    arrange(this.el, [...pairs.values()].map(p => p.el));
  }
}

const slow = ms => ms >= 5000 ? "bad" : ms >= 1000 ? "warn" : "";
const causeClass = c => ["panic", "error"].includes(c) ? "bad" : ["timeout", "overload", "protocol"].includes(c) ? "warn" : "";
// stateOf a server: one that takes no more and has sockets left is being drained, whoever does it.
const stateOf = s => ["draining", "closed"].includes(s.state) && s.open ? "draining" : s.state;
const closeText = c => c ? c.code + (c.reason ? " " + c.reason : "") : "";
const lagText = l => [l?.age_ms > 0 && span(l.age_ms), l?.messages > 0 ? count(l.messages) : l?.bytes > 0 && bytes(l.bytes)].filter(Boolean).join(" · ") || "–";

// # Views
// A view is made with the route, and is {el, paths(params), update(path, data), fail(path, error), params(params), message(m), close()};
// all but the first three may be missing.

function overviewView() {
  const tiles = [
    tile("Sockets", ["open", "asleep"], few, (o, p) => count(p.asleep) + " asleep"),
    tile("Upgrades / s", ["opened", "refused"], few, (o, p) => few(p.refused) + " refused / s"),
    tile("Frames in / s", ["framesIn"], few, (o, p) => bytes(p.bytesIn) + " / s"),
    tile("Frames out / s", ["framesOut"], few, (o, p) => bytes(p.bytesOut) + " / s"),
    tile("Longest lag", ["lag"], span, (o, p) => "mailbox of " + count(p.mailbox)),
    tile("Ends / s", ["ended"], few, o => count(sum(o.servers, s => sum(causes, c => s.closed[c]))) + " in all"),
    tile("Dropped / s", ["dropped", "undelivered"], few, (o, p) => few(p.undelivered) + " undelivered / s"),
    tile("Processes", ["processes"], few, o => `${count(o.system.running)} run` + (o.system.stuck ? `, ${count(o.system.stuck)} stuck` : "")),
    tile("Restarts / s", ["restarts"], few, o => count(sum(o.supervisors, s => s.restarts)) + " in all"),
    tile("CPU, % of one core", ["cpu"], few, o => plural(o.runtime.gomaxprocs, "core")),
    tile("Memory", ["memory"], bytes, o => bytes(o.runtime.heap_bytes) + " heap"),
    tile("Goroutines", ["goroutines"], few, o => plural(o.runtime.gc_cycles, "collection")),
  ];
  const ends = new EndsChart();
  const rate = (s, f) => { const b = app.history.before, old = b?.servers.find(x => x.name === s.name);
    return old ? few(Math.max(f(s) - f(old), 0) / ((Date.parse(app.history.last.at) - Date.parse(b.at)) / 1000)) : "–"; };
  const quantiles = d => d?.count ? `${span(d.p50_ms)} / ${span(d.p99_ms)}` : "–";
  const servers = new Table({caption: "Servers", key: s => s.name, empty: "There are no servers.", columns: [
    {title: "Server", text: s => s.name, href: s => "#/sockets?server=" + encodeURIComponent(s.name)},
    {title: "State", text: stateOf, cls: s => s.state === "open" ? "good" : "warn"},
    {title: "Open", num: true, text: s => count(s.open) + (s.max_sockets > 0 ? " of " + count(s.max_sockets) : "")},
    {title: "Asleep", num: true, text: s => count(s.asleep)},
    {title: "In / s", num: true, text: s => rate(s, x => x.read.frames)},
    {title: "Out / s", num: true, text: s => rate(s, x => x.written.frames)},
    {title: "Read", num: true, text: s => bytes(s.read.bytes)},
    {title: "Written", num: true, text: s => bytes(s.written.bytes)},
    {title: "Dropped", num: true, text: s => count(s.dropped)},
    {title: "Left out", num: true, text: s => count(s.left_out), hint: "because clients were behind"},
    {title: "Mailbox", num: true, text: s => count(s.mailbox_max), hint: "the fullest one"},
    {title: "Lag", num: true, text: s => span(s.lag_max_ms), cls: s => slow(s.lag_max_ms), hint: "age of the oldest message"},
    {title: "RTT p50 / p99", num: true, text: s => quantiles(s.rtt)},
    {title: "Lifetime p50 / p99", num: true, text: s => quantiles(s.lifetime)},
  ]});
  const codes = new Table({caption: "Close codes and refused upgrades", key: r => r.key, empty: "No socket has been closed, and no upgrade refused.", columns: [
    {title: "Code", text: r => r.what}, {title: "Sent", num: true, text: r => r.sent == null ? "" : count(r.sent)},
    {title: "Received", num: true, text: r => r.received == null ? "" : count(r.received)}, {title: "Refused", num: true, text: r => r.refused == null ? "" : count(r.refused)},
  ]});
  const supervisors = new Table({caption: "Supervisors", key: s => s.name, empty: "No supervisor was given: set observer.Config.Supervisors.", columns: [
    {title: "Supervisor", text: s => s.name, href: () => "#/tree"}, {title: "Children", num: true, text: s => count(s.children)},
    {title: "Restarts", num: true, text: s => count(s.restarts), cls: s => s.restarts ? "warn" : ""},
    {title: "Gave up", num: true, text: s => count(s.gave_up), cls: s => s.gave_up ? "bad" : ""},
    {title: "Abandoned", num: true, text: s => count(s.abandoned), cls: s => s.abandoned ? "bad" : ""},
  ]});
  const facts = new Facts(), time = h("p", {class: "note"});
  const el = h("div", null, h("h1", {class: "unseen", tabindex: -1}, "Overview"), h("div", {class: "tiles"}, ...tiles.map(t => t.el)), time,
    panel("Servers", servers.el),
    h("div", {class: "columns"}, panel("Ends by cause", ends.el, ends.list), panel("Close codes and refused upgrades", codes.el)),
    h("div", {class: "columns"}, panel("Supervisors", supervisors.el), panel("This process", facts.el)));
  return {
    el, paths: () => [],
    overview() {
      const o = app.history.last;
      for (const t of tiles) t.update(app.history);
      put(time, `The charts show the last ${span(stretch(app.history.points))}. Point at one to read it.`);
      ends.update(app.history);
      servers.update(o.servers, o.at);
      codes.update(codeRows(o.servers));
      supervisors.update(o.supervisors ?? []);
      const s = o.system, r = o.registry, n = o.nodes;
      facts.update([
        ["Node", s.node, "#/nodes"], ["Observed for", since(o.since, o.at)], ["Processes", `${count(s.processes)}, of ${count(s.spawned)} spawned`, "#/processes"],
        ["Ended", `${count(s.ended?.normal)} normal, ${count(s.ended?.shutdown)} shutdown, ${count(s.ended?.abnormal)} abnormal`, "#/exits"],
        ["Workers", `${count(s.running)} running, ${count(s.resting)} resting`], ["Stuck callbacks", count(s.stuck)], ["Abandoned callbacks", count(s.abandoned)],
        ["Undelivered messages", count(s.undelivered)],
        ["Registry", r && `${plural(r.names, "name")}, ${plural(r.groups, "group")} with ${plural(r.members, "member")}, ${plural(r.topics, "topic")} with ${plural(r.present, "key")}`, "#/groups"],
        ["Cluster", n && `${plural(n.up, "link")}, ${n.ready ? "ready" : n.error}`, "#/nodes"],
        ["Links that have ended", n && `${count(n.left)} by a goodbye, ${count(n.lost)} lost`, "#/nodes"],
        ["Between nodes", n && `${bytes(n.bytes_in)} in, ${bytes(n.bytes_out)} out, ${count(n.refused)} refused, ${count(n.undelivered)} undelivered`, "#/nodes"],
      ]);
    },
    update() {},
  };
}

function codeRows(servers) {
  const rows = new Map();
  const add = (key, what, column, n) => { const r = rows.get(key) ?? {key, what}; r[column] = (r[column] ?? 0) + n; rows.set(key, r); };
  for (const s of servers) {
    for (const c of s.close_sent ?? []) add("c" + c.code, c.code, "sent", c.count);
    for (const c of s.close_received ?? []) add("c" + c.code, c.code, "received", c.count);
    for (const r of s.refused ?? []) if (r.count) add("r" + r.reason, `${r.status} ${r.reason}`, "refused", r.count);
  }
  return [...rows.values()].sort((a, b) => a.key < b.key ? -1 : 1);
}

// listView is a view of one list of the API, with a filter and an order.
function listView({title, what, path, fields = [], sort, columns, key, empty, tabs, find = "Find"}) {
  const note = h("p", {class: "note", role: "status"}, "Looking …");
  const search = h("input", {type: "search", id: "find", maxlength: 256, autocomplete: "off", spellcheck: "false", oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(() => go({q: search.value}), 250);
  }});
  let timer = 0, params = new URLSearchParams();
  const go = change => app.go(change);
  const selects = fields.map(f => {
    const box = h("select", {id: f.name, onchange: () => go({[f.name]: box.value})});
    const fill = () => { for (const [value, text] of f.options()) if (![...box.options].some(o => o.value === value)) box.append(h("option", {value}, text)); box.value = params.get(f.name) ?? f.options()[0][0]; };
    return {...f, box, fill};
  });
  const table = new Table({caption: title, columns, key, empty, onsort: by => {
    const now = params.get("sort") ?? sort[0], order = params.get("order") ?? sort[1];
    go({sort: by, order: by === now && order === "desc" ? "asc" : by === now ? "desc" : by === "name" ? "asc" : "desc"});
  }});
  const el = h("div", null, h("h1", {tabindex: -1}, title), tabs?.(),
    h("form", {class: "filter", role: "search", onsubmit: e => e.preventDefault()},
      h("label", {for: "find"}, find), search, ...selects.flatMap(s => [h("label", {for: s.name}, s.label), s.box])), note, table.el);
  return {
    el,
    paths: p => [path + "?" + new URLSearchParams([...["sort", "order", "q", ...fields.map(f => f.name)].filter(k => p.get(k)).map(k => [k, p.get(k)]),
      ["limit", p.get("limit") ?? "100"]].filter(([k]) => k !== "sort" || columns.some(c => c.sort)))],
    params(p) {
      params = p;
      if (document.activeElement !== search) search.value = p.get("q") ?? "";
      for (const s of selects) s.fill();
      table.sorted(p.get("sort") ?? sort[0], p.get("order") ?? sort[1]);
    },
    overview() { for (const s of selects) if (document.activeElement !== s.box) s.fill(); },
    update(_, d) {
      put(note, listNote(d, what));
      note.classList.toggle("sampled", d.sampled);
      table.update(d.rows, d.at);
    },
    fail(_, e) { put(note, e.message); table.update([]); },
    close() { clearTimeout(timer); },
  };
}

const limits = {name: "limit", label: "Rows", options: () => [["100", "100"], ["300", "300"], ["1000", "1,000"]]};
const serverField = {name: "server", label: "Server", options: () => [["", "all"], ...(app.history.last?.servers ?? app.me?.servers?.map(name => ({name})) ?? []).map(s => [s.name, s.name])]};
const several = () => (app.history.last?.servers ?? []).length > 1;

const socketsView = () => listView({
  title: "Sockets", what: "sockets", path: "sockets", sort: ["lag", "desc"], key: r => r.pid, fields: [serverField, limits],
  find: "Label, subject, address, PID", empty: "No socket is open that matches.",
  columns: [
    {title: "Socket", text: r => r.label || r.pid, href: r => processHref(r.pid), wide: true},
    {title: "Subject", low: true, text: r => r.subject, wide: true},
    {title: "Address", low: true, text: r => r.address, mono: true},
    {title: "Server", low: true, text: r => r.server},
    {title: "Lag", sort: "lag", num: true, text: r => lagText(r.lag), cls: r => slow(r.lag?.age_ms), hint: "age of the oldest message that was not written yet, and how many there are"},
    {title: "Mailbox", sort: "mailbox", num: true, text: r => count(r.mailbox)},
    {title: "Age", sort: "age", num: true, text: (r, now) => since(r.since, now)},
    {title: "Idle", sort: "idle", num: true, text: (r, now) => since(r.last_read ?? r.since, now), hint: "since the last frame from the client"},
    {title: "RTT", sort: "rtt", num: true, text: r => r.rtt_ms > 0 ? span(r.rtt_ms) : "–"},
    {title: "Read", sort: "read", num: true, text: r => bytes(r.read.bytes), hint: "bytes from the client"},
    {title: "Written", sort: "written", num: true, text: r => bytes(r.written.bytes), hint: "bytes to the client"},
    {title: "Both", low: true, sort: "bytes", num: true, text: r => bytes(r.read.bytes + r.written.bytes)},
    {title: "State", text: r => r.asleep ? "asleep" : "awake"},
  ],
});

const processesView = () => listView({
  title: "Processes", what: "processes", path: "processes", sort: ["mailbox", "desc"], key: r => r.pid, find: "Label, type, PID", empty: "No process matches.",
  fields: [{name: "kind", label: "Kind", options: () => [["process", "without sockets"], ["all", "all"], ["socket", "sockets"]]}, limits],
  columns: [
    {title: "Process", text: r => r.label || r.pid, href: r => processHref(r.pid), wide: true},
    {title: "Type", low: true, text: r => r.actor, mono: true, wide: true},
    {title: "Mailbox", sort: "mailbox", num: true, text: r => count(r.mailbox)},
    {title: "Oldest", sort: "oldest", num: true, text: r => r.oldest_ms ? span(r.oldest_ms) : "–", cls: r => slow(r.oldest_ms), hint: "age of the oldest message in the mailbox"},
    {title: "Handling", text: r => r.handling, mono: true},
    {title: "For", sort: "running", num: true, text: r => r.handling ? span(r.for_ms) : "–", cls: r => slow(r.for_ms)},
    {title: "Handled", sort: "handled", num: true, text: r => count(r.handled)},
    {title: "Dropped", sort: "dropped", num: true, text: r => count(r.dropped), cls: r => r.dropped ? "warn" : ""},
    {title: "Children", sort: "children", num: true, text: r => count(r.children)},
    {title: "Age", sort: "age", num: true, text: (r, now) => since(r.since, now)},
    {title: "State", text: r => r.ending ? "ending" : r.server ? "socket of " + r.server : "alive", cls: r => r.ending ? "warn" : ""},
  ],
});

// named is the address of a group or topic. One whose name is not shown as it is has an id; one without an address is too long for it.
const named = (view, r) => r.id === "" ? null : "#/" + view + "?" + new URLSearchParams(r.id ? {name: clean(r.name, 80), id: r.id} : {name: r.name});

const registryTabs = current => () => h("p", {class: "tabs"}, ...[["groups", "Groups"], ["names", "Names"], ["presence", "Presence"]]
  .map(([view, text]) => h("a", {href: "#/" + view, "aria-current": view === current ? "page" : null}, text)));
const registryList = (title, what, sort, columns, empty) => listView({title, what, path: what === "topics" ? "presence" : what, sort, key: r => r.id || r.name, columns,
  tabs: registryTabs(what === "topics" ? "presence" : what), fields: [limits], find: "Name", empty});

const groupsView = () => registryList("Groups", "groups", ["members", "desc"], [
  {title: "Group", sort: "name", text: r => r.name, href: r => named("group", r), wide: true},
  {title: "Members", sort: "members", num: true, text: r => count(r.members)},
], "There are no groups that match.");

const namesView = () => registryList("Names", "names", ["name", "asc"], [
  {title: "Name", sort: "name", text: r => r.name, wide: true},
  {title: "Process", text: r => r.pid, href: r => processHref(r.pid), mono: true},
  {title: "Node", text: r => r.node},
], "There are no names that match.");

const presenceView = () => registryList("Presence", "topics", ["keys", "desc"], [
  {title: "Topic", sort: "name", text: r => r.name, href: r => named("topic", r), wide: true},
  {title: "Keys", sort: "keys", num: true, text: r => count(r.keys)},
], "Nobody is present in a topic that matches.");

const valueText = (v, indent) => v == null ? "" : v.json !== undefined ? JSON.stringify(v.json, null, indent) : v.text === undefined ? `${v.type} …` : v.text + (v.cut ? `… (${bytes(v.bytes)} in all)` : "");

// membersView is who is in one group or topic.
function membersView(kind, back, columns) {
  const note = h("p", {class: "note", role: "status"}, "Looking …"), heading = h("h1", {tabindex: -1});
  const table = new Table({caption: "Members", columns, key: r => r.key ?? r.pid + valueText(r.meta)});
  return {
    el: h("div", null, heading, registryTabs(back)(), note, table.el),
    paths: p => [kind + "?" + new URLSearchParams({...(p.get("id") ? {id: p.get("id")} : {name: p.get("name") ?? ""}), limit: "300"})],
    params(p) { put(heading, (kind === "group" ? "Group " : "Topic ") + (p.get("name") ?? ""), 300); },
    update(_, d) {
      put(note, (d.sampled ? "Looking took too long: not all are here. " : "") + (d.rows.length < d.of ? `The first ${count(d.rows.length)} of ` : "") + plural(d.of, kind === "group" ? "member" : "key") + ".");
      table.update(d.rows, d.at);
    },
    fail(_, e) { put(note, e.message); table.update([]); },
  };
}

const groupView = () => membersView("group", "groups", [
  {title: "Process", text: r => r.label || r.pid, href: r => processHref(r.pid), wide: true},
  {title: "Server", text: r => r.server}, {title: "Meta", text: r => valueText(r.meta), mono: true, wide: true},
]);
const topicView = () => membersView("topic", "presence", [
  {title: "Key", text: r => r.key, wide: true}, {title: "Times", num: true, text: r => count(r.metas.length)},
  {title: "Metas", text: r => r.metas.map(m => valueText(m)).join(" · "), mono: true, wide: true},
]);

function nodesView() {
  const note = h("p", {class: "note", role: "status"}, "Looking …"), map = svg("svg", {class: "links", role: "img"}), picture = h("div", {class: "picture"}, map);
  const table = new Table({caption: "Links to other nodes", key: r => r.node, empty: "This node has no links.", columns: [
    {title: "Node", text: r => r.node, wide: true}, {title: "Boot", text: r => r.boot, mono: true}, {title: "Since", num: true, text: (r, now) => since(r.since, now)},
    {title: "RTT", num: true, text: r => span(r.rtt_ms), cls: r => slow(r.rtt_ms)},
    {title: "Window", num: true, text: r => `${bytes(r.in_use)} of ${bytes(r.window)}`, cls: r => r.window && r.in_use > .8 * r.window ? "warn" : "", hint: "what was sent and not confirmed yet"},
    {title: "Records in", num: true, text: r => count(r.records_in)}, {title: "Records out", num: true, text: r => count(r.records_out)},
    {title: "Bytes in", num: true, text: r => bytes(r.bytes_in)}, {title: "Bytes out", num: true, text: r => bytes(r.bytes_out)},
    ...["Refused", "Resent", "Resets", "Undecodable", "Undelivered"].map(title => ({title, num: true, text: r => count(r[title.toLowerCase()]), cls: r => r[title.toLowerCase()] ? "warn" : ""})),
  ]});
  return {
    el: h("div", null, h("h1", {tabindex: -1}, "Nodes and links"), note, picture, table.el),
    paths: () => ["nodes"],
    update(_, answer) {
      const d = {...answer, rows: answer.rows.toSorted((a, b) => byName.compare(a.node, b.node))};
      const alone = !d.ready && !d.error && !d.rows.length;
      put(note, app.me?.has?.cluster === false ? `This is ${d.name}, and no cluster was given: set observer.Config.Node.` : `This is ${d.name}: ${d.ready ? "ready" : d.error || "not ready"}, ${plural(d.rows.length, "link")}.`);
      picture.hidden = alone || !d.rows.length;
      if (!picture.hidden) drawLinks(map, d);
      table.update(d.rows, d.at);
    },
    fail(_, e) { put(note, e.message); },
  };
}

// drawLinks shows this node in the middle of those that it has links to.
function drawLinks(map, d) {
  const n = Math.min(d.rows.length, 24), W = 560, H = n > 8 ? 360 : 260, cx = W / 2, cy = H / 2, parts = [];
  for (let i = 0; i < n; i++) {
    const r = d.rows[i], angle = 2 * Math.PI * (i + .5) / n - Math.PI / 2, x = cx + Math.cos(angle) * 190, y = cy + Math.sin(angle) * (H / 2 - 45);
    const troubled = r.resets || r.refused || r.undecodable;
    parts.push(svg("path", {class: "link" + (troubled ? " warn" : ""), d: `M${cx} ${cy}L${x.toFixed(0)} ${y.toFixed(0)}`}),
      svg("circle", {class: "peer", cx: x, cy: y, r: 9}),
      svg("text", {x, y: y + 24, class: "name"}, clean(r.node, 28)), svg("text", {x: cx + (x - cx) * .58, y: cy + (y - cy) * .58 - 4, class: "rtt"}, span(r.rtt_ms)));
  }
  parts.push(svg("circle", {class: "self", cx, cy, r: 12}), svg("text", {x: cx, y: cy - 20, class: "name self"}, clean(d.name, 28)));
  attr(map, "viewBox", `0 0 ${W} ${H}`);
  attr(map, "aria-label", `${clean(d.name, 60)} and its ${plural(d.rows.length, "link")}` + (d.rows.length > n ? `, the first ${n}` : ""));
  map.replaceChildren(...parts);
}

const exitsView = () => listView({
  title: "Last exits", what: "exits", path: "exits", sort: ["", "desc"], key: r => r.pid, find: "Label, subject, address, reason, PID", empty: "Nothing has ended that matches.",
  fields: [{name: "cause", label: "Cause", options: () => [["", "all"], ...causes.map(c => [c, c])]}, limits],
  columns: [
    {title: "Ended", text: r => clock(r.ended), mono: true},
    {title: "Who", text: r => r.label || r.pid, href: r => processHref(r.pid), wide: true},
    {title: "Cause", text: r => r.cause, cls: r => causeClass(r.cause)},
    {title: "Reason", text: r => r.reason, wide: true},
    {title: "Close sent", text: r => closeText(r.sent), wide: true}, {title: "Close received", text: r => closeText(r.received), wide: true},
    {title: "Lived", num: true, text: r => span(r.lifetime_ms)},
    {title: "Events", num: true, text: r => r.events ? count(r.events.length) : "–", hint: "what the recorder kept: open the line to read it"},
    {title: "Subject", text: r => r.subject, wide: true}, {title: "Address", text: r => r.address, mono: true},
    {title: "Server or type", text: r => r.server ?? r.actor, wide: true},
  ],
});

// # The tree

const PITCH = 30, BOX = 24, GAP = 34;
const ruler = document.createElement("canvas").getContext("2d");
ruler.font = "13px system-ui, sans-serif";

// layTree places what is open of a tree: a parent on the line of its first child, each level as wide as its widest node. Many leaves
// of one parent stand in rows, as many side by side as there is room for.
function layTree(roots, isOpen, room) {
  const items = [], widths = [];
  const walk = (node, parent, key, position, size) => {
    const depth = parent ? parent.depth + 1 : 0, children = childrenOf(node);
    const item = {node, depth, key, parent, position, size, kids: [], folds: children.length > 0, badges: badgesOf(node), name: clean(node.name || node.id || node.label || node.type || node.pid, 38)};
    items.push(item);
    item.open = item.folds && isOpen(key, children.length);
    if (item.folds && !item.open) item.badges.push(["fold", "+" + count(countNodes(node))]);
    item.width = 34 + ruler.measureText(item.name).width + item.badges.reduce((w, [, text]) => w + ruler.measureText(text).width * .9 + 13, 0) + (item.folds ? 18 : 0);
    if (item.open) {
      const names = new Map();
      children.forEach((child, i) => {
        const own = child.kind === "process" ? child.pid : child.id || child.name, n = names.get(own) ?? 0;
        names.set(own, n + 1);
        item.kids.push(walk(child, item, key + "/" + own + (n ? "#" + n : ""), i + 1, children.length));
      });
      item.rows = item.kids.length > 6 && item.kids.every(k => !k.folds);
    }
    if (!parent?.rows) widths[depth] = Math.max(widths[depth] ?? 0, item.width);
    return item;
  };
  const tops = roots.map((root, i) => walk(root, null, String(i), i + 1, roots.length));
  for (const item of items) if (item.parent && !item.parent.rows) widths[item.depth] = Math.max(widths[item.depth] ?? 0, item.width);
  const left = [1];
  for (let d = 0; d < 64; d++) left.push(left[d] + (widths[d] ?? 0) + GAP);
  let line = 0, wide = 0;
  const place = (item, x, width) => {
    Object.assign(item, {x, width, y: line * PITCH + 2});
    wide = Math.max(wide, x + width);
    if (!item.open) return;
    const below = left[item.depth + 1];
    if (!item.rows) return item.kids.forEach((k, i) => { if (i) line++; place(k, below, widths[k.depth]); });
    const w = Math.max(...item.kids.map(k => k.width)), columns = Math.max(1, Math.min(16, Math.floor((room - below + 10) / (w + 10))));
    item.kids.forEach((k, i) => { k.first = i % columns === 0; if (i && k.first) line++; place(k, below + i % columns * (w + 10), w); });
  };
  tops.forEach((item, i) => { if (i) line++; place(item, left[0], widths[0]); });
  return {items, width: wide + 2, height: (line + 1) * PITCH};
}

// childrenOf are the children in an order that does not change: a Dynamic has none.
function childrenOf(node) {
  let list = node.children ?? [];
  if (node.kind !== "supervisor") list = list.toSorted((a, b) => byName.compare(a.id || a.label || a.pid, b.id || b.label || b.pid));
  return node.more ? [...list, {kind: "more", name: `and ${count(node.more)} more`}] : list;
}

const countNodes = node => sum(node.children, c => 1 + countNodes(c)) + (node.more ?? 0);

function badgesOf(n) {
  const badges = [];
  if (n.open != null) badges.push(["open", count(n.open) + (n.kind === "server" ? " open" : "")]);
  if (n.mailbox) badges.push(["mail", count(n.mailbox) + " waiting"]);
  if (n.restarts) badges.push(["again", plural(n.restarts, "restart")]);
  return badges;
}

const treeState = n => n.kind === "more" ? "more" : n.state || (n.pid || n.kind === "process" ? "running" : "root");

function treeTitle(item) {
  const n = item.node;
  return [[item.name, ...item.badges.map(b => b[1])].join(" "), n.kind, n.state, n.strategy, n.last && "last: " + clean(n.last, 120)].filter(Boolean).join(", ");
}

function treeView() {
  const note = h("p", {class: "note", role: "status"}, "Looking …"), details = new Facts();
  const lines = svg("path", {class: "lines"}), nodes = svg("g", {role: "tree", "aria-label": "Supervision tree"});
  const drawing = svg("svg", {class: "tree"}, lines, nodes), box = h("div", {class: "scroll canvas"}, drawing);
  const search = h("input", {type: "search", id: "find", maxlength: 256, autocomplete: "off", spellcheck: "false", oninput: () => draw(), onkeydown: e => { if (e.key === "Enter") { e.preventDefault(); nextHit(); } }});
  const about = h("section", {class: "panel about", "aria-live": "off"}, h("h2", null, "Nothing is selected"), details.el);
  const folds = new Map(), made = new Map();
  let data = null, laid = {items: []}, scale = 1, selected = null, current = null, hit = -1, all = null;

  const isOpen = (key, n) => folds.get(key) ?? all ?? n <= TREE_FOLD;
  const byKey = key => laid.items.find(i => i.key === key);

  function draw() {
    if (!data) return;
    laid = layTree(data.roots, isOpen, box.clientWidth / scale - 24);
    const q = search.value.trim().toLowerCase();
    if (!byKey(current)) current = laid.items[0]?.key;
    let d = "";
    for (const item of laid.items) {
      item.hit = q !== "" && [item.node.name, item.node.id, item.node.label, item.node.type, item.node.pid].some(t => t && String(t).toLowerCase().includes(q));
      if (item.parent) {
        const p = item.parent, y = item.y + BOX / 2, bus = p.kids[0].x - GAP / 2;
        if (item === p.kids[0]) d += `M${p.x + p.width} ${y}H${item.x}`;
        else if (p.rows && !item.first) d += `M${item.x - 10} ${y}h10`;
        else { const above = p.kids.findLast(k => k.y < item.y && (!p.rows || k.first)); d += `M${bus} ${above.y + BOX / 2}V${y}H${item.x}`; }
      }
    }
    attr(lines, "d", d);
    const keep = new Map();
    for (const item of laid.items) keep.set(item.key, drawNode(item, made.get(item.key), q));
    made.clear();
    for (const [key, value] of keep) made.set(key, value);
    arrange(nodes, [...keep.values()].map(m => m.el));
    resize();
    describe();
  }

  function drawNode(item, m, q) {
    if (!m) {
      m = {frame: svg("rect", {class: "frame", rx: 5, height: BOX}), mark: svg("path", {class: "mark"}), name: svg("text", {class: "name", x: 24, y: 16}),
        fold: svg("path", {class: "foldmark"}), badges: svg("g"), shown: "", title: svg("title")};
      m.el = svg("g", {role: "treeitem", onclick: e => click(m.key, e), onfocus: () => { current = m.key; }}, m.title, m.frame, m.mark, m.name, m.fold, m.badges);
    }
    m.key = item.key;
    const state = treeState(item.node), waits = item.badges.map(b => b.join(":")).join();
    attr(m.el, "transform", `translate(${item.x} ${item.y})`);
    attr(m.el, "class", ["node", "is-" + state, item.node.kind === "more" ? "rest" : "", q && !item.hit ? "miss" : "", item.hit ? "hit" : ""].filter(Boolean).join(" "));
    attr(m.el, "tabindex", item.key === current ? 0 : -1);
    attr(m.el, "aria-level", item.depth + 1);
    attr(m.el, "aria-setsize", item.size);
    attr(m.el, "aria-posinset", item.position);
    attr(m.el, "aria-expanded", item.folds ? String(item.open) : null);
    attr(m.el, "aria-selected", String(item.key === selected));
    const title = treeTitle(item);
    attr(m.el, "aria-label", title);
    put(m.title, title);
    attr(m.frame, "width", item.width);
    attr(m.mark, "d", marks[state] ?? marks.running);
    put(m.name, item.name + (item.badges.length ? " " : "")); // the space is for who hears it
    attr(m.fold, "d", !item.folds ? "" : item.open ? `M${item.width - 16} 10l4 4l4-4` : `M${item.width - 14} 8l4 4l-4 4`);
    if (m.shown !== waits + item.width) {
      m.shown = waits + item.width;
      let x = item.width - (item.folds ? 24 : 8);
      m.badges.replaceChildren(...item.badges.toReversed().map(([kind, text]) => {
        const el = svg("text", {class: "badge " + kind, x, y: 16, "text-anchor": "end"}, text + " ");
        x -= ruler.measureText(text).width * .9 + 12;
        return el;
      }));
    }
    return m;
  }

  function click(key, e) {
    const item = byKey(key);
    if (!item) return;
    const box = made.get(key).el.getBoundingClientRect();
    if (item.folds && e.clientX > box.right - 26 * scale) return fold(item, !item.open);
    select(item);
    focus(item);
  }

  function select(item) { selected = item.key; draw(); }

  function fold(item, open) { folds.set(item.key, open); draw(); focus(byKey(item.key)); }

  function focus(item) {
    if (!item) return;
    current = item.key;
    for (const [key, m] of made) attr(m.el, "tabindex", key === current ? 0 : -1);
    made.get(current)?.el.focus({preventScroll: true});
    const left = item.x * scale, top = item.y * scale;
    if (top < box.scrollTop || top > box.scrollTop + box.clientHeight - PITCH * scale) box.scrollTop = top - box.clientHeight / 2;
    if (left < box.scrollLeft || left + item.width * scale > box.scrollLeft + box.clientWidth) box.scrollLeft = Math.max(left - 40, 0);
  }

  function keys(e) {
    const i = laid.items.findIndex(item => item.key === current), item = laid.items[i];
    if (!item || e.ctrlKey || e.metaKey || e.altKey) return;
    const to = {ArrowDown: () => focus(laid.items[i + 1]), ArrowUp: () => focus(laid.items[i - 1]), Home: () => focus(laid.items[0]), End: () => focus(laid.items.at(-1)),
      ArrowRight: () => item.folds && !item.open ? fold(item, true) : focus(item.kids[0]), ArrowLeft: () => item.open ? fold(item, false) : focus(item.parent),
      Enter: () => { select(item); focus(byKey(item.key)); }, " ": () => { select(item); focus(byKey(item.key)); }, "+": () => zoom(1.25), "-": () => zoom(.8)}[e.key];
    if (to) { e.preventDefault(); to(); }
  }

  function nextHit() {
    const hits = laid.items.filter(i => i.hit);
    if (hits.length) { hit = (hit + 1) % hits.length; select(hits[hit]); focus(byKey(selected)); search.focus({preventScroll: true}); }
  }

  function resize() {
    attr(drawing, "viewBox", `0 0 ${laid.width} ${laid.height}`);
    attr(drawing, "width", Math.round(laid.width * scale));
    attr(drawing, "height", Math.round(laid.height * scale));
  }

  function zoom(by) { scale = Math.min(2, Math.max(.2, by ? scale * by : Math.min(1, (box.clientWidth - 4) / laid.width, (box.clientHeight - 4) / laid.height))); draw(); }

  function describe() {
    const item = byKey(selected), n = item?.node;
    put(about.firstChild, item ? item.name : "Select a node to see what is known of it");
    details.update(!n ? [] : [
      ["Process", n.pid, n.pid && processHref(n.pid)], ["Label", n.label], ["Kind", n.kind], ["Type", n.type], ["ID", n.id], ["Strategy", n.strategy], ["State", n.state],
      ["Children", n.children ? plural(n.children.length + (n.more ?? 0), "child", "children") + `, ${count(countNodes(n))} nodes below` : ""],
      [n.kind === "server" ? "Sockets" : "Processes", n.open != null ? count(n.open) : "", n.kind === "server" ? "#/sockets?server=" + encodeURIComponent(n.name) : "#/processes"],
      ["Mailbox", n.mailbox != null ? count(n.mailbox) : ""], ["Handling", n.handling && `${n.handling} for ${span(n.for_ms)}`],
      ["Restart", n.restart], ["Restarts", n.state ? count(n.restarts) : ""], ["Shutdown", !n.state ? "" : n.shutdown_ms === -1 ? "without limit" : n.shutdown_ms === -2 ? "killed at once" : span(n.shutdown_ms)],
      ["Since", n.since && `${clock(n.since)}, ${since(n.since, data.at)}`], ["Last end", n.last], ["Kind of it", n.last_kind], ["At", n.last_at && clock(n.last_at)],
    ]);
  }

  function drag(e) {
    if (e.pointerType !== "mouse" || e.button !== 0 || e.target.closest(".node")) return;
    const x = e.clientX + box.scrollLeft, y = e.clientY + box.scrollTop;
    const move = ev => { box.scrollLeft = x - ev.clientX; box.scrollTop = y - ev.clientY; };
    const end = () => { removeEventListener("pointermove", move); removeEventListener("pointerup", end); };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
  }

  nodes.addEventListener("keydown", keys);
  box.addEventListener("pointerdown", drag);
  const button = (text, label, onclick) => h("button", {class: "quiet", "aria-label": label, title: label, type: "button", onclick}, text);
  const foldAll = open => { folds.clear(); all = open; draw(); };
  return {
    el: h("div", {class: "treeview"}, h("h1", {tabindex: -1}, "Supervision tree"),
      h("form", {class: "filter", role: "search", onsubmit: e => e.preventDefault()}, h("label", {for: "find"}, "Find"), search,
        h("span", {class: "buttons"}, button("−", "Smaller", () => zoom(.8)), button("+", "Larger", () => zoom(1.25)), button("Fit", "Fit it all in", () => zoom(0)),
          button("Unfold", "Unfold all", () => foldAll(true)), button("Fold", "Fold all", () => foldAll(false)))),
      note, h("div", {class: "split"}, h("div", null, box, legend()), about)),
    paths: () => ["tree"],
    update(_, d) {
      data = d;
      put(note, d.roots.length ? plural(d.nodes, "node") + (d.cut ? ": some were left out." : ".") : "No supervisor was given: set observer.Config.Supervisors.");
      box.parentNode.parentNode.hidden = !d.roots.length;
      draw();
    },
    fail(_, e) { put(note, e.message); },
  };
}

// The mark of a state has a form of its own: colour alone says nothing.
const circle = "M8 12a4 4 0 1 0 8 0a4 4 0 1 0-8 0z";
const marks = {running: circle, waiting: circle, starting: circle, stopping: "M8 8h8v8h-8z", stopped: "M8 8h8v8h-8z", restarting: "M12 7l5 9h-10z", root: "M12 7l5 5l-5 5l-5-5z", more: ""};

function legend() {
  return h("p", {class: "marks"}, ...["running", "starting", "waiting", "restarting", "stopping", "stopped"].map(state =>
    h("span", null, svg("svg", {viewBox: "6 6 12 12", "aria-hidden": "true", class: "node is-" + state}, svg("path", {class: "mark", d: marks[state]})), state)));
}

// # Drain, and acts

// confirm asks before something that cannot be undone.
function confirm(title, text, action) {
  const {promise, resolve} = Promise.withResolvers();
  const dialog = h("dialog", {"aria-labelledby": "asked"}, h("form", {method: "dialog"}, h("h2", {id: "asked"}, title), h("p", null, text),
    h("p", {class: "buttons"}, h("button", {value: "no", class: "quiet", autofocus: true}, "Cancel"), h("button", {value: "yes", class: "danger"}, action))));
  dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); });
  document.body.append(dialog);
  dialog.showModal();
  return promise;
}

// act makes an act, and says what has come of it.
async function act(path, body, done) {
  try {
    app.say(done(await post(path, body)));
    return true;
  } catch (e) {
    app.say(e.message, true);
    return false;
  }
}

const mayAct = () => app.me?.access === "act";

function drainView() {
  const cards = h("div", {class: "drains"}), made = new Map(), hint = h("p", {class: "note"});
  const ask = async server => {
    const open = sum(app.history.last?.servers.filter(s => !server || s.name === server), s => s.open);
    if (await confirm(server ? `Drain ${clean(server, 60)}?` : "Drain all servers?", `New upgrades are refused, and ${plural(open, "socket")} will be closed. It cannot be taken back: the server opens again when it is served again.`, "Drain"))
      await act("drain", server ? {server} : {}, a => "Draining " + a.servers.join(", "));
  };
  const everything = h("button", {class: "danger", onclick: () => ask("")}, "Drain all servers");
  function card() {
    const c = {title: h("h2"), state: h("p", {class: "value"}), bar: svg("svg", {class: "progress", role: "img", viewBox: "0 0 100 8", preserveAspectRatio: "none"},
      svg("rect", {class: "base", width: 100, height: 8}), svg("rect", {class: "closed", height: 8}), svg("rect", {class: "killed", height: 8})), facts: new Facts()};
    c.button = h("button", {class: "danger", onclick: () => ask(c.name)}, "Drain");
    c.el = h("section", {class: "panel"}, c.title, c.state, c.bar, c.facts.el, c.button);
    return c;
  }
  function show(c, s) {
    c.name = s.name;
    const d = s.drain, all = d?.sockets ?? s.down?.sockets ?? 0, left = d?.left ?? s.down?.left ?? 0, killed = d?.killed ?? 0, gone = Math.max(all - left, 0);
    const share = n => all ? 100 * n / all : 0;
    put(c.title, s.name, 256);
    put(c.state, stateOf(s) + (d && d.stage !== "done" ? ", " + d.stage : ""));
    c.state.className = "value " + ({open: "good", closed: ""}[stateOf(s)] ?? "warn");
    c.bar.hidden = !d && !s.down;
    c.bar.toggleAttribute("hidden", !d && !s.down);
    attr(c.bar.children[1], "width", share(gone));
    attr(c.bar.children[2], "width", share(killed));
    attr(c.bar.children[2], "x", share(gone - killed));
    attr(c.bar, "aria-label", `${count(gone)} of ${plural(all, "socket")} have gone`);
    c.facts.update([["Open", count(s.open), "#/sockets?server=" + encodeURIComponent(s.name)], ["Takes no more", s.error],
      ["Gone", (d || s.down) && `${count(gone)} of ${count(all)}`], ["Closed", d && count(d.closed)], ["Left", (d || s.down) && count(left)], ["Killed", d && count(killed)],
      ["Stage", d?.stage], ["For", d && span(d.elapsed_ms)], ["Asked for by", d?.by], ["Failed", d?.error], ["Not open since", s.down && !d ? clock(s.down.since) : ""]]);
    c.button.hidden = !mayAct() || (s.state !== "open" && s.state !== "full");
  }
  return {
    el: h("div", null, h("h1", {tabindex: -1}, "Drain"), hint, cards, everything),
    paths: () => ["drain"],
    update(_, d) {
      put(hint, mayAct() ? "A drain refuses upgrades and closes the sockets of a server, as a deploy does." : "This page shows drains that are under way. To begin one, Act is needed: see observer.Config.Authorize.");
      arrange(cards, d.servers.map(s => { const c = made.get(s.name) ?? card(); made.set(s.name, c); show(c, s); return c.el; }));
      everything.hidden = !mayAct() || d.servers.length < 2 || !d.servers.some(s => s.state === "open");
    },
    fail(_, e) { put(hint, e.message); },
  };
}

// # One process

const eventColumns = [
  {title: "At", text: e => span(e.at_ms), num: true}, {title: "Direction", text: e => e.sent ? "out" : "in", cls: e => e.sent ? "out" : "in"},
  {title: "What", text: e => e.what, mono: true, wide: true}, {title: "Size", num: true, text: e => e.size ? bytes(e.size) : "–"},
  {title: "Took", num: true, text: e => e.took_ms < 0 ? "not returned" : e.sent ? "–" : span(e.took_ms), cls: e => e.took_ms < 0 ? "bad" : slow(e.took_ms)},
  {title: "Waiting", num: true, text: e => count(e.waiting), hint: "messages in the mailbox"},
];

function processView({arg: pid}) {
  const heading = h("h1", {tabindex: -1}, pid), note = h("p", {class: "note", role: "status"}, "Looking …"), facts = new Facts();
  const state = h("pre", {tabindex: 0, role: "region", "aria-label": "State"}), stateNote = h("p", {class: "note"});
  const statePanel = panel("State", stateNote, state);
  const places = new Table({caption: "Names, groups and topics", key: r => r.kind + " " + r.name + " " + (r.key ?? ""), empty: "It is in no group and has no name.", columns: [
    {title: "Kind", text: r => r.kind}, {title: "Name", text: r => r.name, wide: true, href: r => r.kind === "member" ? named("group", r) : r.kind === "presence" ? named("topic", r) : "#/names?q=" + encodeURIComponent(r.name)},
    {title: "Key", text: r => r.key, wide: true}, {title: "Meta", text: r => valueText(r.meta), mono: true, wide: true}]});
  const placesPanel = panel("Names, groups and topics", places.el);
  const frames = new Table({caption: "Frames by opcode", key: r => r.opcode, columns: [{title: "Opcode", text: r => r.opcode},
    {title: "Read", num: true, text: r => count(r.read.frames)}, {title: "Bytes", num: true, text: r => bytes(r.read.bytes)},
    {title: "Written", num: true, text: r => count(r.written.frames)}, {title: "Bytes", num: true, text: r => bytes(r.written.bytes)}]});
  const framesPanel = panel("Frames", frames.el);
  const events = new Table({caption: "Last events", key: e => e.n, empty: "There are no events yet.", columns: eventColumns});
  const eventsNote = h("p", {class: "note"}), eventsPanel = panel("Last events", eventsNote, events.el);
  const children = h("p", {class: "children"}), childrenPanel = panel("Children", children);
  const tap = new Tap(pid), acts = actsPanel(pid);
  const parts = [statePanel, placesPanel, framesPanel, eventsPanel, childrenPanel, tap.el, acts.el];
  const el = h("div", {class: "process"}, heading, note, panel("What it is", facts.el), acts.el, tap.el,
    h("div", {class: "columns"}, h("div", null, statePanel, childrenPanel), h("div", null, framesPanel, placesPanel)), eventsPanel);
  for (const p of parts) p.hidden = true;

  function showEvents(list, alive) {
    eventsPanel.hidden = list === undefined;
    put(eventsNote, list ? "The newest first; times since the upgrade." : "Nothing is recorded: see socket.Config.Record.");
    events.el.hidden = !list;
    if (list) events.update(list.map((e, i) => ({...e, n: i})).reverse());
  }

  function alive(d) {
    const s = d.socket;
    put(heading, d.label || s?.label || d.pid, 256);
    put(note, d.ending ? "It is ending." : s ? `A socket of ${s.server}.` : "A process.");
    facts.update([["PID", d.pid], ["Type", d.actor], ["Server", s?.server, s && "#/sockets?server=" + encodeURIComponent(s.server)], ["Subject", s?.subject], ["Address", s?.address],
      ["Subprotocol", s?.subprotocol], ["Compressed", s && (s.compressed ? "yes" : "no")], ["Asleep", s && (s.asleep ? "yes" : "no")],
      ["Since", `${clock(d.since)}, ${since(d.since, d.at)}`], ["Last read", s?.last_read && since(s.last_read, d.at) + " ago"], ["Last write", s?.last_write && since(s.last_write, d.at) + " ago"],
      ["RTT", s?.rtt_ms > 0 ? span(s.rtt_ms) : ""], ["Lag", s && lagText(s.lag)], ["Lag in bytes", s?.lag?.bytes ? bytes(s.lag.bytes) : ""],
      ["Left out", s?.lag?.left_out ? count(s.lag.left_out) : ""],
      ["Mailbox", count(d.mailbox)], ["Oldest message", d.oldest_ms ? span(d.oldest_ms) : ""], ["Handled", count(d.handled)], ["Dropped", count(d.dropped)],
      ["Handling", d.handling ? `${d.handling} for ${span(d.for_ms)}` : "nothing"], ["Parent", d.parent, d.parent && processHref(d.parent)]]);
    statePanel.hidden = d.state == null && !d.state_error && !s;
    state.hidden = d.state == null;
    put(stateNote, d.state_error || (d.state ? d.state.type : "The handler does not say: see websock.Describer."));
    put(state, valueText(d.state, 2), 70_000);
    placesPanel.hidden = false;
    places.update(d.registrations ?? []);
    framesPanel.hidden = !s?.frames;
    if (s?.frames) frames.update(["text", "binary", "continuation", "ping", "pong", "close"].map(opcode => ({opcode, read: s.frames.read[opcode] ?? {}, written: s.frames.written[opcode] ?? {}})));
    showEvents(s ? d.events ?? null : d.events ?? undefined, true);
    childrenPanel.hidden = !d.children_total;
    childLinks(children, d.children ?? [], d.children_total);
    tap.el.hidden = !s;
    acts.update(true, !!s);
  }

  function ended(x) {
    put(heading, x.label || x.pid, 256);
    put(note, `It has ended at ${clock(x.ended)}.`);
    facts.update([["PID", x.pid], ["Type", x.actor], ["Server", x.server], ["Subject", x.subject], ["Address", x.address], ["Cause", x.cause], ["Kind", x.kind], ["Reason", x.reason],
      ["Close sent", closeText(x.sent)], ["Close received", closeText(x.received)], ["Lived", span(x.lifetime_ms)], ["Dropped", x.dropped ? count(x.dropped) : ""],
      ["Left out", x.left_out ? count(x.left_out) : ""],
      ["Read", x.read && `${count(x.read.frames)} frames, ${bytes(x.read.bytes)}`], ["Written", x.written && `${count(x.written.frames)} frames, ${bytes(x.written.bytes)}`]]);
    for (const p of [placesPanel, framesPanel, childrenPanel]) p.hidden = true;
    if (x.server) showEvents(x.events ?? null, false);
    acts.update(false, false);
  }

  return {
    el, paths: () => ["process/" + encodeURIComponent(pid)],
    update(_, d) { if (d.alive) alive(d); else ended(d.exit); },
    fail(_, e) { put(note, e.code === "gone" ? "It has ended, and is no longer among the last exits." : e.message); acts.update(false, false); },
    message(m) { if (m.pid === pid) tap.message(m); },
    state() { tap.connection(); },
    close() { tap.close(); },
  };
}

function childLinks(el, pids, total) {
  const shown = el.dataset.pids, now = pids.join(" ") + total;
  if (shown === now) return;
  el.dataset.pids = now;
  el.replaceChildren(...pids.flatMap(p => [h("a", {href: processHref(p)}, p), " "]), total > pids.length ? `and ${count(total - pids.length)} more` : "");
}

function actsPanel(pid) {
  const path = "process/" + encodeURIComponent(pid) + "/";
  const code = h("input", {id: "code", type: "number", min: 1000, max: 4999, value: 1008, required: true}), reason = h("input", {id: "reason", maxlength: 123, autocomplete: "off"}), kill = h("input", {id: "kill", type: "checkbox"});
  const text = h("textarea", {id: "text", rows: 2, maxlength: 65536});
  const kick = h("form", {onsubmit: async e => {
    e.preventDefault();
    const body = isSocket && !kill.checked ? {code: Number(code.value), reason: reason.value} : {kill: kill.checked};
    const what = kill.checked ? "It ends at once: no Close frame, no Terminate." : isSocket ? `Its client gets a Close frame with ${code.value}${reason.value ? " " + reason.value : ""}.` : "It gets an exit with ErrShutdown.";
    if (await confirm(kill.checked ? "Kill it?" : "Kick it?", what, kill.checked ? "Kill" : "Kick")) await act(path + "kick", body, a => a.done === "killed" ? "It was killed." : "It was kicked.");
  }}, h("span", {class: "closing"}, h("label", {for: "code"}, "Code"), code, h("label", {for: "reason"}, "Reason"), reason), h("label", {class: "check"}, kill, "Kill"), h("button", {class: "danger"}, "Kick"));
  const send = h("form", {onsubmit: async e => {
    e.preventDefault();
    if (await act(path + "send", {text: text.value}, () => "The text was sent.")) text.value = "";
  }}, h("label", {for: "text"}, "Text to the client"), text, h("button", null, "Send"));
  kill.addEventListener("change", () => { code.disabled = reason.disabled = kill.checked; put(kick.querySelector("button"), kill.checked ? "Kill" : "Kick"); });
  let isSocket = false;
  const el = panel("Act", kick, send);
  el.classList.add("acts");
  return {el, update(alive, socket) {
    isSocket = socket;
    el.hidden = !alive || !mayAct();
    kick.querySelector(".closing").hidden = send.hidden = !socket;
  }};
}

// Tap shows the frames of a socket as they come. It keeps the last TAP_LINES, and as many again while it is paused.
class Tap {
  #lines = []; // frames, and {gap: text}
  #held = [];  // while paused
  #missed = 0; // of those held, that did not fit
  #on = false; #paused = false; #hex = false; #payload = null; #seen = 0; #cut = false;

  constructor(pid) {
    this.pid = pid;
    this.log = h("ol", {class: "frames", tabindex: 0, "aria-label": "Frames"});
    this.note = h("p", {class: "note", role: "status"}, "Nobody looks at the frames yet.");
    this.toggle = h("button", {onclick: () => this.#on ? this.#stop() : this.#start()}, "Tap");
    this.pause = h("button", {class: "quiet", "aria-pressed": "false", onclick: () => this.#hold(!this.#paused)}, "Pause");
    this.hex = h("select", {id: "payload", onchange: () => { this.#hex = this.hex.value === "hex"; this.#redraw(); }}, h("option", {value: "text"}, "text"), h("option", {value: "hex"}, "hex"));
    this.clear = h("button", {class: "quiet", onclick: () => { this.#lines = []; this.#held = []; this.#missed = 0; this.#redraw(); this.#say(); }}, "Clear");
    this.el = panel("Frames, live", h("p", {class: "buttons"}, this.toggle, this.pause, this.clear, h("label", {for: "payload"}, "Payload as"), this.hex), this.note, this.log);
    this.el.classList.add("tap");
    this.pause.hidden = this.clear.hidden = this.log.hidden = true;
  }

  #start() { this.#on = true; put(this.toggle, "Stop"); this.pause.hidden = this.clear.hidden = this.log.hidden = false; put(this.note, "Asking for the frames …"); app.live.tap(this.pid); }
  #stop() { this.#on = false; put(this.toggle, "Tap"); app.live.untap(this.pid); this.#hold(false); put(this.note, "Stopped."); }
  close() { if (this.#on) app.live.untap(this.pid); }

  message(m) {
    switch (m.type) {
    case "tapped":
      if (this.#cut) this.#add([{gap: "The connection was lost: frames are missing here."}]);
      this.#cut = false;
      return this.#say();
    case "frames": {
      if (!this.#on) return; // they were on their way
      const lines = [];
      if (m.lost) lines.push({gap: `${plural(m.lost, "frame")} left out here: this page was too slow.`});
      for (const f of m.frames ?? []) {
        if (f.lost) lines.push({gap: `${plural(f.lost, "frame")} left out here: this page was too slow.`});
        if (f.size && f.opcode !== "close") this.#payload = f.text != null || f.base64 != null;
        lines.push(f);
      }
      this.#seen += m.frames?.length ?? 0;
      return this.#add(lines);
    }
    case "untapped":
      if (m.why === "asked") return; // that was this page, and it may have asked for the frames again
      app.live.forget(this.pid);
      this.#on = false;
      put(this.toggle, "Tap");
      this.#add([{gap: "It has ended."}]);
      put(this.note, "It has ended.");
      return;
    case "error":
      if (m.op !== "tap") return;
      app.live.forget(this.pid);
      this.#on = false;
      put(this.toggle, "Tap");
      put(this.note, m.error.message);
    }
  }

  // connection notes that frames are missed when the connection is lost.
  connection() { if (this.#on && app.live.state !== "open") this.#cut = true; }

  #add(lines) {
    if (this.#paused) {
      this.#held.push(...lines);
      const over = this.#held.length - TAP_LINES;
      if (over > 0) { this.#held.splice(0, over); this.#missed += over; }
      return this.#say();
    }
    const stick = this.log.scrollTop + this.log.clientHeight >= this.log.scrollHeight - 30;
    this.#lines.push(...lines);
    const over = this.#lines.length - TAP_LINES;
    this.log.append(...lines.slice(-TAP_LINES).map(l => this.#line(l)));
    if (over > 0) this.#lines.splice(0, over);
    while (this.log.childElementCount > this.#lines.length) this.log.firstElementChild.remove();
    if (stick) this.log.scrollTop = this.log.scrollHeight;
    this.#say();
  }

  #hold(on) {
    this.#paused = on;
    attr(this.pause, "aria-pressed", String(on));
    put(this.pause, on ? "Go on" : "Pause");
    if (on || !this.#held.length && !this.#missed) return this.#say();
    const lines = this.#held;
    if (this.#missed) lines.unshift({gap: `${plural(this.#missed, "frame")} not kept while this was paused.`});
    this.#held = [];
    this.#missed = 0;
    this.#add(lines);
  }

  #say() {
    if (!this.#on) return;
    put(this.note, (this.#paused ? `Paused: ${plural(this.#held.length + this.#missed, "frame")} since then. ` : "") + plural(this.#seen, "frame") + " seen" +
      (this.#seen > TAP_LINES ? `, the last ${count(TAP_LINES)} are kept` : "") + "." + (this.#payload !== false ? "" : " Payloads are not shown: see socket.Config.TapPayload."));
  }

  #redraw() { this.log.replaceChildren(...this.#lines.map(l => this.#line(l))); }

  #line(f) {
    if (f.gap) return h("li", {class: "gap"}, f.gap);
    return h("li", {class: f.direction === "in" ? "in" : "out"}, h("time", null, clock(f.at, true)), h("b", null, f.direction === "in" ? "in" : "out"), h("span", null, f.opcode),
      h("span", {class: "size"}, bytes(f.size)), h("code", null, payloadText(f, this.#hex)));
  }
}

// payloadText is what is shown of a frame: as text where it is text, else the bytes.
function payloadText(f, hex) {
  if (f.code != null) return f.code + (f.reason ? " " + f.reason : "");
  if (f.text == null && f.base64 == null) return "";
  const raw = f.text == null ? Uint8Array.from(atob(f.base64), c => c.charCodeAt(0)) : hex ? new TextEncoder().encode(f.text.slice(0, 4096)) : null;
  const more = f.size - (raw ? raw.length : new TextEncoder().encode(f.text.slice(0, 4096)).length);
  return (raw ? dump(raw.subarray(0, 512)) : clean(f.text)) + (more > 0 ? `\n… and ${bytes(more)} more` : "");
}

function dump(raw) {
  const lines = [];
  for (let i = 0; i < raw.length; i += 16) {
    const part = [...raw.subarray(i, i + 16)];
    lines.push(part.map(b => b.toString(16).padStart(2, "0")).join(" ").padEnd(48) + " " + part.map(b => b > 32 && b < 127 ? String.fromCharCode(b) : "·").join(""));
  }
  return lines.join("\n");
}

// # The whole

const views = {overview: overviewView, tree: treeView, sockets: socketsView, processes: processesView, groups: groupsView, names: namesView, presence: presenceView,
  group: groupView, topic: topicView, nodes: nodesView, exits: exitsView, drain: drainView, process: processView};
const navOf = {names: "groups", presence: "groups", group: "groups", topic: "groups", process: "sockets"};
const $ = id => document.getElementById(id);

const app = {
  me: null, live: new Live(), history: new History(),
  view: null, name: "", arg: null, params: new URLSearchParams(), paths: [],
  paused: false, pressed: false, held: new Map(), shownAt: null, lostAt: 0,

  // route is what the address says.
  route() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s), [name, ...rest] = path.split("/");
    let arg = rest.join("/");
    try { arg = decodeURIComponent(arg); } catch { /* it is what it is */ }
    return {name: Object.hasOwn(views, name) ? name : "overview", arg, params: new URLSearchParams(query ?? "")};
  },

  // show brings the page to where the address says.
  show(first = false) {
    if (location.hash === "#main") return;
    const r = this.route();
    this.params = r.params;
    const other = !this.view || r.name !== this.name || r.arg !== this.arg;
    if (other) {
      this.view?.close?.();
      Object.assign(this, {name: r.name, arg: r.arg});
      this.view = views[r.name](r);
      $("main").replaceChildren(this.view.el);
      const nav = navOf[r.name] ?? r.name;
      for (const a of document.querySelectorAll("nav a")) attr(a, "aria-current", a.hash === "#/" + nav ? "page" : null);
      document.querySelector("nav a[aria-current]")?.scrollIntoView({block: "nearest", inline: "nearest"});
      const heading = this.view.el.querySelector("h1");
      document.title = clean(heading.textContent, 80) + " – Troupe observer";
      if (!first) { heading.focus({preventScroll: true}); scrollTo(0, 0); }
    }
    this.view.params?.(r.params);
    if (this.history.last) this.view.overview?.();
    this.watch();
  },

  // go changes parts of the address of this view. Parts that are empty are left out.
  go(change) {
    const params = new URLSearchParams(this.params);
    for (const [key, value] of Object.entries(change)) { if (value) params.set(key, value); else params.delete(key); }
    const query = params.toString();
    history.replaceState(null, "", "#/" + this.name + (this.arg ? "/" + encodeURIComponent(this.arg) : "") + (query ? "?" + query : ""));
    this.show();
  },

  watch() {
    this.paths = this.view.paths(this.params).map(p => p.slice(0, 3500).replace(/%.?$/, "")); // the server takes 4 KiB, and no half of an escape
    attr($("main"), "aria-busy", "true");
    this.live.watch(document.hidden ? ["overview"] : ["overview", ...this.paths]);
  },

  // snapshot shows one, unless the page is paused, or a button of the mouse is down: what it is on must not move away.
  snapshot(m) {
    if (this.paused || this.pressed) { if (m.path === "overview" || this.paths.includes(m.path)) this.held.set(m.path, m); if (m.path === "overview" && m.data) this.history.add(m.data); return; }
    if (m.path === "overview") {
      if (!m.data) return;
      this.history.add(m.data);
      this.shownAt = m.data.at;
      this.servers(m.data);
      this.view.overview?.();
      attr($("main"), "aria-busy", this.paths.length ? $("main").getAttribute("aria-busy") : null);
      return;
    }
    if (!this.paths.includes(m.path)) return;
    attr($("main"), "aria-busy", null);
    if (m.data) this.view.update(m.path, m.data); else this.view.fail?.(m.path, m.error);
  },

  release() {
    if (this.paused || this.pressed) return;
    const held = [...this.held.values()];
    this.held.clear();
    for (const m of held) this.snapshot(m);
  },

  message(m) {
    if (m.type === "hello") {
      this.me = m;
      if (m.version !== VERSION) this.say("The server has another version of this page: load it anew.", true);
      put($("where"), [m.node, m.go].filter(Boolean).join(" · "), 120);
      put($("right"), (m.access === "act" ? "may act" : "view only") + (m.who ? ", as " + m.who : ""), 120);
      $("right").hidden = false;
      if (this.history.last) this.view.overview?.();
      return;
    }
    if (m.type === "error" && m.op === "watch") this.say(m.error.message, true);
    this.view.message?.(m);
  },

  servers(o) {
    const closing = o.servers.filter(s => stateOf(s) === "draining");
    put($("where"), [o.system.node, this.me?.go, closing.length ? "draining: " + closing.map(s => `${s.name}, ${count(s.open)} left`).join("; ") : ""].filter(Boolean).join(" · "), 200);
  },

  // state shows how the connection is. A short break, as when the server ends a connection that is old, is not worth a notice.
  state() {
    const {live} = this, open = live.state === "open", notice = $("notice");
    if (open) this.lostAt = 0; else this.lostAt ||= Date.now();
    const text = this.paused && open ? "paused" : open ? "live" : live.state === "connecting" ? "connecting" : "not connected";
    put($("state"), text);
    $("state").className = open ? this.paused ? "paused" : "open" : "lost";
    const late = !open && Date.now() - this.lostAt > 1500;
    notice.hidden = !late;
    document.body.classList.toggle("stale", late);
    if (!late) return;
    if (!notice.firstChild) notice.append(h("p"), h("button", {class: "quiet", onclick: () => live.open()}, "Try now"));
    const wait = Math.max(Math.ceil((live.next - Date.now()) / 1000), 0);
    put(notice.firstChild, `${live.why || "There is no connection."} ${this.shownAt ? "What is shown is from " + clock(this.shownAt) + ". " : ""}` + (live.state === "waiting" ? "Trying again" : "Trying") + " …");
    notice.lastChild.disabled = live.state !== "waiting" || wait === 0;
  },

  pause(on) {
    this.paused = on;
    attr($("pause"), "aria-pressed", String(on));
    put($("pause"), on ? "Go on" : "Pause");
    this.state();
    this.release();
  },

  say(text, bad = false) {
    const said = $("said");
    put(said, text, 600);
    said.className = bad ? "bad" : "good";
    clearTimeout(this.saidTimer);
    this.saidTimer = setTimeout(() => put(said, ""), 8000);
  },

  start() {
    const {live} = this;
    live.addEventListener("state", () => { this.state(); this.view?.state?.(); });
    live.addEventListener("snapshot", e => this.snapshot(e.detail));
    live.addEventListener("message", e => this.message(e.detail));
    addEventListener("hashchange", () => this.show());
    const letGo = () => { clearTimeout(this.pressTimer); this.pressed = false; this.release(); };
    addEventListener("pointerdown", () => { this.pressed = true; clearTimeout(this.pressTimer); this.pressTimer = setTimeout(letGo, 2000); }); // its end may not be told
    for (const e of ["pointerup", "pointercancel", "blur"]) addEventListener(e, () => setTimeout(letGo)); // after the click
    addEventListener("keydown", e => {
      if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea, select, dialog")) return;
      const find = $("find");
      if (find) { e.preventDefault(); find.focus(); }
    });
    document.addEventListener("visibilitychange", () => this.watch());
    document.querySelector(".skip").addEventListener("click", e => { e.preventDefault(); $("main").focus(); });
    $("pause").addEventListener("click", () => this.pause(!this.paused));
    setInterval(() => { live.check(); this.state(); }, 1000);
    this.show(true);
    live.open();
  },
};

app.start();
