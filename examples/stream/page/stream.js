import {Connection} from "./client.js";

const $ = id => document.getElementById(id);
const most = 20; // answers on the page
const answers = new Map(); // those under way, by their number
let connection, limit = 1, number = 0;

function el(tag, className, text = "") {
  return Object.assign(document.createElement(tag), {className, textContent: text});
}

// --- the connection ---

// connect opens the socket, on the network that was chosen. What was under way on the one before has ended with it.
function connect() {
  connection?.close();
  const link = $("link").value;
  const c = connection = new Connection(link ? "/ws?link=" + link : "/ws");
  const listen = (type, f) => c.addEventListener(type, e => { if (c === connection) f(e.detail); });
  listen("connecting", () => state(false, "connecting"));
  listen("open", () => state(true, "connected"));
  listen("message", data => receive(JSON.parse(data)));
  listen("waiting", d => lost(`connection lost (${d.code}), back in ${Math.ceil(d.delay / 1000)} s`));
  listen("closed", d => lost(`closed (${d.code})`));
  c.open();
}

function state(open, text) {
  $("state").className = open ? "open" : "";
  $("state").textContent = text;
  ready();
}

function lost(text) {
  state(false, text);
  for (const a of answers.values()) finish(a, "lost", "lost with the connection");
}

function receive(m) {
  const a = answers.get(m.answer);
  switch (m.type) {
  case "hello":
    limit = m.most;
    $("limits").textContent = `It makes ${m.rate} tokens a second, for ${m.most} answers at once.`;
    break;
  case "token":
    if (!a) break;
    a.text.append(m.text);
    a.tokens++;
    break;
  case "end":
    if (!a) break;
    // All tokens of an answer come before its end.
    finish(a, m.how, `${m.how}, ${m.tokens} tokens` + (m.tokens === a.tokens ? "" : `, of which ${a.tokens} came`));
    break;
  case "refused":
    if (a) finish(a, "failed", "refused: " + m.why);
    break;
  }
  ready();
}

// --- answers ---

$("ask").onsubmit = e => {
  e.preventDefault();
  const prompt = $("prompt").value.trim();
  if (!prompt) return;
  const a = start(prompt);
  if (!connection.send(JSON.stringify({type: "ask", answer: a.number, prompt}))) finish(a, "lost", "there is no connection");
};

function start(prompt) {
  const li = el("li", "running"), top = el("div", "top"), text = el("p", "text"), how = el("p", "how", "asked");
  const stop = el("button", "", "Stop");
  stop.type = "button";
  stop.setAttribute("aria-label", "Stop: " + prompt);
  top.append(el("h3", "", prompt), stop);
  li.append(top, text, how);
  const a = {number: ++number, li, text, how, stop, tokens: 0, shown: 0};
  stop.onclick = () => {
    connection.send(JSON.stringify({type: "stop", answer: a.number}));
    stop.disabled = true; // what is on its way still comes, and then the end
    stop.textContent = "Stopping";
  };
  answers.set(a.number, a);
  $("answers").prepend(li);
  $("none").hidden = true;
  for (const old of [...$("answers").children].slice(most)) if (!old.classList.contains("running")) old.remove();
  ready();
  return a;
}

function finish(a, how, text) {
  answers.delete(a.number);
  a.li.className = how;
  a.how.textContent = text;
  if (document.activeElement === a.stop) $("prompt").focus(); // not to be lost
  a.stop.remove();
  ready();
}

// Once a second: how fast the tokens of each answer come.
setInterval(() => {
  for (const a of answers.values()) {
    a.how.textContent = `${a.tokens} tokens, ${a.tokens - a.shown} in the last second`;
    a.shown = a.tokens;
  }
}, 1000);

function ready() {
  $("go").disabled = connection?.state !== "open" || answers.size >= limit;
}

$("network").onsubmit = e => e.preventDefault();
$("link").onchange = connect;
$("link").value = new URLSearchParams(location.search).get("link") ?? "";
if ($("link").selectedIndex < 0) $("link").value = "";
connect();
