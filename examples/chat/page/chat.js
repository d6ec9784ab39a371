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
const pending = new Map(); // ref -> the line of a message that the room has not confirmed

const connection = new Connection("/ws");
const send = request => connection.send(JSON.stringify(request));

// --- the connection ---

connection.addEventListener("connecting", () => status("connecting"));
connection.addEventListener("open", () => send({type: "hello", name, key, session}));
connection.addEventListener("message", e => {
  const m = JSON.parse(e.detail);
  if ("room" in m && m.type !== "room" && m.room !== room) return; // was on its way when we left that room
  if ((m.type === "message" || m.type === "presence") && !inRoom) return; // from before, and joined will have it
  ({welcome, joined, message, presence, room: roomChanged, error: refused})[m.type]?.(m);
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
  name = m.name;
  localStorage.setItem("name", name);
  rooms.clear();
  for (const r of m.rooms) rooms.set(r.room, r.people);
  showDoor(false);
  join();
}

function join() { send({type: "join", room, life, after, ref: "join"}); }

function joined(m) {
  if (m.gap) line("There may have been messages here that you cannot see any more.", "gap");
  if (m.life !== life) after = 0;
  life = m.life;
  people.clear();
  m.people.forEach(p => people.add(p));
  people.add(name);
  inRoom = true;
  m.messages.forEach(message);
  for (const li of pending.values()) unsent(li); // said just before the loss, and not in what the room has
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
    old.remove();
  }
  put(entry(m.name, m.text, new Date(m.time), mine));
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

function roomChanged(m) {
  m.people ? rooms.set(m.room, m.people) : rooms.delete(m.room);
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

function entry(by, text, time, mine) {
  const li = document.createElement("li");
  li.className = "message" + (mine ? " mine" : "");
  li.dataset.by = by;
  li.append(el("span", "by", mine ? "You" : by), el("span", "text", text));
  if (time) {
    const t = el("time", "", time.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"}));
    t.dateTime = time.toISOString();
    li.append(t);
  }
  return li;
}

function el(tag, className, text) {
  const e = document.createElement(tag);
  e.className = className;
  e.textContent = text;
  e.dir = "auto";
  return e;
}

function line(text, className = "") { put(Object.assign(el("li", "line " + className, text))); }

// Who reads the end goes on reading the end, whatever comes and however the window changes.
const log = $("log");
let atEnd = true;
const toEnd = () => { log.scrollTop = log.scrollHeight; };
log.onscroll = () => { atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40; };
new ResizeObserver(() => { if (atEnd) toEnd(); }).observe(log);

function put(li) {
  const last = log.lastElementChild;
  if (li.dataset.by && last?.dataset.by === li.dataset.by) li.classList.add("more");
  log.append(li);
  while (log.children.length > most) log.firstElementChild.remove();
  if (atEnd || li.classList.contains("mine")) toEnd();
}

// --- what we say ---

function say(text) {
  const ref = token();
  const li = entry(name, text, null, true);
  li.classList.add("pending");
  pending.set(ref, li);
  put(li);
  li.again = () => {
    li.classList.remove("failed");
    li.classList.add("pending");
    li.querySelector("button")?.remove();
    if (!send({type: "say", text, ref})) unsent(li);
  };
  li.again();
}

function unsent(li) {
  if (li.classList.contains("failed")) return;
  li.classList.add("failed");
  li.classList.remove("pending");
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
  pending.clear();
  log.replaceChildren();
  atEnd = true;
  document.title = `#${room} · Troupe chat`;
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

$("leave").onclick = () => {
  connection.close();
  drawer(false);
  showDoor(true);
};

function showSide() {
  const count = people.size;
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
