import {Connection} from "./client.js";

const $ = id => document.getElementById(id);
const prices = new Map(); // by symbol: {cents, was, n, at, gaps, cells}
let connection, mine = "", ahead = 0, came = 0, before = 0;

function cellsOf(tr, n) {
  const cells = Array.from({length: n}, () => document.createElement("td"));
  tr.replaceChildren(...cells);
  return cells;
}

// --- the connection ---

// connect opens the socket, on the network that was chosen.
function connect() {
  connection?.close();
  const link = $("link").value;
  const c = connection = new Connection(link ? "/ws?link=" + link : "/ws");
  const listen = (type, f) => c.addEventListener(type, e => { if (c === connection) f(e.detail); });
  listen("connecting", () => state(false, "connecting"));
  listen("open", () => state(true, "connected"));
  listen("message", data => receive(JSON.parse(data)));
  listen("waiting", d => state(false, `connection lost (${d.code}), back in ${Math.ceil(d.delay / 1000)} s`));
  listen("closed", d => state(false, `closed (${d.code})`));
  c.open();
}

function state(open, text) {
  $("state").className = open ? "open" : "";
  $("state").textContent = text;
  if (!open) $("halt").disabled = true;
}

function receive(m) {
  switch (m.type) {
  case "hello":
    begin(m);
    break;
  case "price": {
    const p = prices.get(m.symbol);
    if (!p || m.n <= p.n) break; // it was in the hello already
    p.gaps += m.n - p.n - 1;
    came++;
    Object.assign(p, {cents: m.cents, was: p.cents, n: m.n, at: m.at});
    break;
  }
  case "trading":
    trading(m.halted);
    break;
  case "tabs":
    $("count").textContent = m.count > m.tabs.length ? `${m.tabs.length} of ${m.count}` : "";
    $("tabs").replaceChildren(...m.tabs.map(tabRow));
    break;
  case "caught_up":
    $("notice").textContent = `Caught up at ${new Date().toLocaleTimeString()}: ${number(m.left_out)} messages were left out since the last time, ` +
      `${number(m.total)} since this tab has been open.`;
    break;
  }
}

// begin shows the prices of a new connection. The clock of the server may differ from ours.
function begin(m) {
  mine = m.tab;
  ahead = Date.now() - m.time;
  came = before = 0;
  prices.clear();
  $("prices").replaceChildren(...m.prices.map(p => {
    const tr = document.createElement("tr");
    const cells = cellsOf(tr, 4);
    cells[0].textContent = p.symbol;
    prices.set(p.symbol, {cents: p.cents, was: p.cents, n: p.n, at: p.at, gaps: 0, cells});
    return tr;
  }));
  state(true, m.tab);
  trading(m.halted);
}

function trading(halted) {
  $("halt").disabled = halted;
  $("halt").textContent = halted ? "The market is halted" : "Halt the market";
}

$("halt").onclick = () => connection.send(JSON.stringify({type: "halt"}));

// --- what is shown ---

const number = n => n.toLocaleString("en");

function tabRow(t) {
  const tr = document.createElement("tr");
  const cells = cellsOf(tr, 4);
  if (t.tab === mine) tr.className = "mine";
  cells[0].textContent = t.tab === mine ? `${t.tab} (this one)` : t.tab;
  cells[1].textContent = t.waiting;
  cells[2].textContent = `${t.age} ms`;
  cells[3].textContent = number(t.left_out);
  return tr;
}

// Ten times a second, however many prices come.
setInterval(() => {
  const now = Date.now() - ahead;
  let oldest = 0, gaps = 0;
  for (const p of prices.values()) {
    const age = Math.max(0, now - p.at);
    oldest = Math.max(oldest, age);
    gaps += p.gaps;
    p.cells[1].textContent = (p.cents / 100).toFixed(2);
    p.cells[1].className = p.cents > p.was ? "up" : p.cents < p.was ? "down" : "";
    p.cells[2].textContent = `${(age / 1000).toFixed(1)} s`;
    p.cells[3].textContent = number(p.gaps);
  }
  $("came").textContent = number(came);
  $("gaps").textContent = number(gaps);
  $("oldest").textContent = prices.size ? `${(oldest / 1000).toFixed(1)} s` : "–";
}, 100);

setInterval(() => {
  $("rate").textContent = number(came - before);
  before = came;
}, 1000);

$("link").onchange = connect;
$("link").value = new URLSearchParams(location.search).get("link") ?? "";
if ($("link").selectedIndex < 0) $("link").value = "";
connect();
