import {Connection} from "./client.js";

const $ = id => document.getElementById(id);
const token = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), b => b.toString(16).padStart(2, "0")).join("");
const most = 500; // lines that the page keeps

// Who we are. All tabs of a browser share the key, by which the name is ours; each page has a session of its own.
const key = localStorage.getItem("key") ?? token();
localStorage.setItem("key", key);
const session = token();
let name = localStorage.getItem("name") ?? "";

// Where we are, and what we have seen of it.
let room = "", life = "", after = 0;
let welcomed = false, inRoom = false;
const rooms = new Map();   // name -> number of people
const people = new Set();
const pending = new Map(); // ref -> the line of a message that its room has not confirmed
let skew = 0;              // of the server's clock, in milliseconds
const now = () => Date.now() + skew;

const connection = new Connection("/ws");
const send = request => connection.send(JSON.stringify(request));

// --- the connection ---

connection.addEventListener("connecting", () => status("connecting"));
connection.addEventListener("open", () => send({type: "hello", name, key, session}));
connection.addEventListener("message", e => {
  const m = JSON.parse(e.detail);
  if ("room" in m && m.room !== room) return; // was on its way when we left that room
  if ((m.type === "message" || m.type === "presence") && !inRoom) return; // from before, and joined will have it
  ({welcome, joined, message, presence, rooms: roomsChanged, error: refused})[m.type]?.(m);
});
connection.addEventListener("waiting", e => {
  lost();
  const until = Date.now() + e.detail.delay;
  const why = e.detail.code === 1001 || e.detail.code === 1012 ? "The server is restarting." : "The connection is lost.";
  tick();
  countdown = setInterval(tick, 500);
  function tick() {
    const s = Math.ceil((until - Date.now()) / 1000);
    status("reconnecting", `${why} ${s > 0 ? `Trying again in ${s} s.` : "Trying again now."}`);
  }
});
connection.addEventListener("closed", e => {
  lost();
  if (!room) return;
  status("closed", e.detail.code === 4001 ? "This chat has moved to a newer connection." : "The server has closed the connection.", true);
});

let countdown = 0;
function lost() {
  clearInterval(countdown);
  welcomed = inRoom = false;
  showSide();
  ready();
}

function status(text, notice = "", again = false) {
  if (text !== "reconnecting") clearInterval(countdown);
  $("state").textContent = text;
  $("state").className = text === "connected" ? "open" : "";
  $("chat").classList.toggle("lost", text !== "connected");
  if (notice || text === "connected") { // "connecting" leaves the notice of the loss where it is
    $("notice").hidden = !notice;
    // A countdown is not to be read aloud each second: only what is new is written.
    if ($("notice").firstChild.textContent !== notice) $("notice").firstChild.textContent = notice;
    $("notice").querySelector("button").hidden = !again;
  }
}
$("notice").querySelector("button").onclick = () => connection.open();

// --- what the server says ---

function welcome(m) {
  welcomed = true;
  skew = m.time - Date.now();
  name = m.name;
  localStorage.setItem("name", name);
  $("node").textContent = m.node ? `on ${m.node}` : "";
  $("node").hidden = !m.node;
  rooms.clear();
  for (const r of m.rooms) rooms.set(r.room, r.people);
  showDoor(false);
  join();
}

function join() { send({type: "join", room, life, after, ref: "join"}); }

function joined(m) {
  if (m.gap) gap(m.messages[0]?.time ?? now());
  if (m.life !== life) after = 0;
  life = m.life;
  people.clear();
  m.people.forEach(p => people.add(p));
  people.add(name);
  inRoom = true;
  const waiting = [...pending.values()].filter(li => li.room === room);
  for (const li of waiting) if (!li.isConnected) put(li); // from when we were in this room before
  m.messages.forEach(message);
  for (const li of waiting) if (pending.has(li.ref)) unsent(li); // said just before the loss, and not in what the room has
  status("connected");
  showSide();
  ready();
}

function message(m) {
  if (m.id <= after) return;
  after = m.id;
  const mine = m.name === name;
  const old = mine && pending.get(m.ref);
  if (old) {
    pending.delete(m.ref);
    const next = old.nextElementSibling;
    old.remove();
    if (next) follows(next);
  }
  put(entry(m.name, m.text, m.time, mine));
}

function presence(m) {
  for (const p of m.joined) {
    if (!people.has(p)) line(`${p} has joined`);
    people.add(p);
  }
  for (const p of m.left) {
    people.delete(p);
    line(`${p} has left`);
  }
  showSide();
}

function roomsChanged(m) {
  if (m.all) rooms.clear();
  for (const r of m.rooms) r.people ? rooms.set(r.room, r.people) : rooms.delete(r.room);
  showSide();
}

function refused(m) {
  if (!welcomed || m.ref === "join" && m.code === "room") { // at the door
    connection.close();
    showDoor(true, m.text);
    return;
  }
  if (m.ref === "join") setTimeout(() => { if (welcomed && !inRoom) join(); }, 1500);
  const li = pending.get(m.ref);
  if (li) unsent(li);
  const error = $("error");
  error.textContent = m.text;
  error.hidden = false;
  clearTimeout(error.timer);
  error.timer = setTimeout(() => { error.hidden = true; }, 5000);
}

// --- the log ---

// An entry is a message. Its time is the server's, or what we take for that until it is confirmed.
function entry(by, text, time, mine) {
  const li = document.createElement("li");
  li.className = "message" + (mine ? " mine" : "");
  li.dataset.by = by;
  li.time = time;
  const words = el("span", "text", "");
  words.append(...linked(text));
  li.append(el("span", "by", mine ? "You" : by), words, when(time));
  return li;
}

function when(time) {
  const t = el("time", "when", new Date(time).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"}));
  t.dateTime = new Date(time).toISOString();
  return t;
}

function el(tag, className, text) {
  const e = document.createElement(tag);
  e.className = className;
  e.textContent = text;
  e.dir = "auto";
  return e;
}

// linked is a text in which web addresses are links: http and https only, without a user before the host, which is there
// to deceive. Nothing of the text is ever read as HTML. The page that opens learns neither of this one nor where it was.
function linked(text) {
  const parts = [];
  let end = 0;
  for (const m of text.matchAll(/\bhttps?:\/\/[^\s<>"]+/gi)) {
    let address = m[0].replace(/[.,:;!?'*_]+$/, "");
    while (address.endsWith(")") && address.split(")").length > address.split("(").length) address = address.slice(0, -1);
    const url = URL.parse(address);
    if (!url || url.username || url.password) continue;
    const a = el("a", "", address);
    a.href = url.href;
    a.target = "_blank";
    a.rel = "noopener noreferrer nofollow ugc";
    a.dir = "ltr";
    parts.push(text.slice(end, m.index), a);
    end = m.index + address.length;
  }
  parts.push(text.slice(end));
  return parts;
}

function line(text, className = "", time = now()) { put(Object.assign(el("li", "line " + className, text), {time})); }

// gap says that something is missing, once: not again before a message has come.
function gap(time) {
  const last = [...lines.children].findLast(li => li.matches(".gap, .message:not(.pending, .failed)"));
  if (!last?.matches(".gap")) line("There may have been messages here that you cannot see any more.", "gap", time);
}

// Who reads the end goes on reading the end, whatever comes and however the window changes.
const log = $("log"), lines = $("lines");
let atEnd = true;
const toEnd = () => { log.scrollTop = log.scrollHeight; };
log.onscroll = () => { atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40; };
new ResizeObserver(() => { if (atEnd) toEnd(); }).observe(log);

// put appends a line. What we have said and the room does not know yet goes on standing where it belongs by its time:
// what was said before comes before it, although we hear of it later.
function put(li) {
  let next = null;
  for (let old = lines.lastElementChild; pending.has(old?.ref) && old.time > li.time; old = old.previousElementSibling) next = old;
  lines.insertBefore(li, next);
  follows(li);
  if (next) follows(next);
  while (lines.children.length > most) lines.firstElementChild.remove();
  if (atEnd || li.classList.contains("mine")) toEnd();
}

// follows marks a message that comes after another one of the same person.
function follows(li) {
  const by = li.dataset.by;
  li.classList.toggle("more", Boolean(by) && li.previousElementSibling?.dataset.by === by);
}

// --- what we say ---

function say(text) {
  const ref = token();
  const li = Object.assign(entry(name, text, now(), true), {ref, room});
  pending.set(ref, li);
  put(li);
  li.again = () => {
    li.classList.remove("failed");
    li.classList.add("pending");
    li.querySelector("button")?.remove();
    li.querySelector(".when").textContent = "sending";
    if (!inRoom || !send({type: "say", text, ref})) unsent(li);
  };
  li.again();
}

function unsent(li) {
  if (li.classList.contains("failed")) return;
  li.classList.add("failed");
  li.classList.remove("pending");
  li.querySelector(".when").replaceWith(when(li.time));
  const b = el("button", "link", "Not sent. Send again");
  b.type = "button";
  b.onclick = li.again;
  li.append(b);
}

$("say").onsubmit = e => {
  e.preventDefault();
  const text = $("text").value.trim();
  if (!inRoom || !text) return;
  if ([...text].length > 1000) return refused({text: "A message has at most 1000 characters."});
  $("text").value = "";
  say(text);
};
$("text").onkeydown = e => {
  if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
    e.preventDefault();
    $("say").requestSubmit();
  }
};

function ready() { $("say").querySelector("button").disabled = !inRoom; }

// --- the door and the side ---

const asRoom = text => text.trim().toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 24);

function showDoor(show, why = "") {
  $("door").hidden = !show;
  $("chat").hidden = show;
  $("refused").textContent = why;
  $("refused").hidden = !why;
  if (show) {
    room = "";
    $("enter").elements.room.value ||= "lobby";
    $("enter").elements.name.focus();
  } else {
    $("me").textContent = name;
    if (document.activeElement === document.body || $("door").contains(document.activeElement)) $("text").focus();
  }
}

$("enter").onsubmit = e => {
  e.preventDefault();
  name = e.target.elements.name.value.trim();
  const wanted = asRoom(e.target.elements.room.value);
  if (!name || !wanted) return showDoor(true, "Please choose a name and a room.");
  enter(wanted);
  connection.open();
};

// enter goes to a room: at once when there is a connection, else when there is one again.
function enter(wanted) {
  if (wanted === room) return;
  room = wanted;
  life = "";
  after = 0;
  inRoom = false;
  people.clear();
  lines.replaceChildren();
  atEnd = true;
  document.title = `#${room} · Troupe chat`;
  $("second").href = "#" + room;
  $("copied").textContent = "";
  if (location.hash.slice(1) !== room) location.hash = room;
  $("title").textContent = room;
  showSide();
  ready();
  if (welcomed) join();
}

addEventListener("hashchange", () => {
  const wanted = asRoom(location.hash.slice(1));
  if (room && wanted) enter(wanted);
});

$("go").onsubmit = e => {
  e.preventDefault();
  const wanted = asRoom(e.target.elements.room.value);
  e.target.reset();
  drawer(false);
  if (wanted) enter(wanted);
};

$("copy").onclick = async () => {
  const done = await navigator.clipboard?.writeText(location.href).then(() => true, () => false); // not on every page without TLS
  $("copied").textContent = done ? "Copied." : "Please copy it from the address bar.";
};

$("leave").onclick = () => {
  connection.close();
  drawer(false);
  showDoor(true);
};

function showSide() {
  const count = people.size;
  $("alone").hidden = !inRoom || count > 1;
  $("count").textContent = inRoom ? `${count} here` : "";
  const known = new Map(rooms);
  if (room) known.set(room, Math.max(count, known.get(room) ?? 0));
  const focused = $("rooms").contains(document.activeElement) && document.activeElement.hash; // not to be lost
  $("rooms").replaceChildren(...[...known].sort().map(([r, n]) => {
    const a = document.createElement("a");
    a.href = "#" + r;
    if (r === room) a.setAttribute("aria-current", "true");
    const number = el("span", "", String(n));
    number.setAttribute("aria-label", n === 1 ? "1 person" : `${n} people`);
    a.append(el("span", "", "# " + r), number);
    a.onclick = () => drawer(false);
    const li = document.createElement("li");
    li.append(a);
    return li;
  }));
  if (focused) [...$("rooms").querySelectorAll("a")].find(a => a.hash === focused)?.focus();
  $("people").replaceChildren(...[...people].sort((a, b) => a.localeCompare(b)).map(p => el("li", "", p === name ? `${p} (you)` : p)));
}

function drawer(open) {
  $("chat").classList.toggle("side", open);
  $("menu").setAttribute("aria-expanded", open);
  if (open) $("side").querySelector("a, input").focus();
}
$("menu").onclick = () => drawer(!$("chat").classList.contains("side"));
addEventListener("keydown", e => {
  if (e.key === "Escape" && $("chat").classList.contains("side")) {
    drawer(false);
    $("menu").focus();
  }
});
addEventListener("pointerdown", e => {
  if ($("chat").classList.contains("side") && !e.target.closest("#side, #menu")) drawer(false);
});

$("enter").elements.name.value = name;
$("enter").elements.room.value = asRoom(location.hash.slice(1)) || "lobby";
(name ? $("enter").querySelector("button") : $("enter").elements.name).focus();
