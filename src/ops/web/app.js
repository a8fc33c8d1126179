// The page: what the server tells, as text nodes only. No markup is ever built from strings.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const HISTORY = 300;
const STALE_MS = 4000;
const byId = (id) => document.getElementById(id);
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

let about = null;
let past = [];
let lastHeard = 0;
let lastAt = 0;
let prefix = "";
let usersShown = false;

function text(id, value) {
  const node = byId(id);
  const wanted = String(value);
  if (node.textContent !== wanted) node.textContent = wanted;
}

function element(name, className, content) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (content !== undefined) node.textContent = content;
  return node;
}

function number(n) {
  if (n === null || n === undefined) return "–";
  if (n >= 1e6) return short.format(n);
  return n < 10 && !Number.isInteger(n) ? n.toFixed(1) : grouped.format(n);
}

// Below a millisecond the figure is made of the clock's steps.
function millis(n) {
  return n !== null && n < 1 ? "< 1" : number(n);
}

function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const pad = (n) => String(n).padStart(2, "0");
  if (s >= 86400) return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  if (s >= 3600) return `${Math.floor(s / 3600)}:${pad(Math.floor((s % 3600) / 60))}:${pad(s % 60)}`;
  return `${Math.floor(s / 60)}:${pad(s % 60)}`;
}

// Rows are kept and only their changed cells are written, so that a selection, a focused button
// and the scroll position survive. `cells` gives for each row a list of strings or of functions
// that fill the cell themselves.
function table(id, rows, key, cells, classes) {
  const body = byId(id).tBodies[0];
  const known = new Map();
  for (const tr of body.rows) known.set(tr.rowKey, tr);
  let at = body.firstElementChild;
  for (const row of rows) {
    const rowKey = key(row);
    let tr = known.get(rowKey);
    if (tr) known.delete(rowKey);
    else {
      tr = document.createElement("tr");
      tr.rowKey = rowKey;
    }
    if (tr === at) at = at.nextElementSibling;
    else body.insertBefore(tr, at);
    cells(row).forEach((content, n) => {
      let td = tr.cells[n];
      if (!td) td = tr.appendChild(element("td", classes[n]));
      if (typeof content === "function") content(td);
      else {
        const wanted = String(content);
        if (td.textContent !== wanted) td.textContent = wanted;
      }
    });
  }
  for (const tr of known.values()) tr.remove();
}

function chart(name) {
  const svg = byId(`chart-${name}`);
  const box = svg.getBoundingClientRect();
  const width = Math.max(160, box.width);
  const height = Math.max(60, box.height);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const values = past.map((point) => point[name]);
  const most = values.reduce((m, v) => (v > m ? v : m), 0);
  const top = niceTop(most);
  const [left, bottom, roof] = [2, 16, 14];
  const x = (n) => left + ((width - 2 * left) * (HISTORY - past.length + n)) / (HISTORY - 1);
  const y = (v) => height - bottom - ((height - bottom - roof) * v) / top;
  let line = "";
  let area = "";
  let from = null;
  values.forEach((v, n) => {
    if (v === null || v === undefined) {
      if (from !== null) area += `L${x(n - 1).toFixed(1)} ${y(0)}Z`;
      from = null;
      return;
    }
    const place = `${x(n).toFixed(1)} ${y(v).toFixed(1)}`;
    line += (from === null ? "M" : "L") + place;
    area += from === null ? `M${x(n).toFixed(1)} ${y(0)}L${place}` : `L${place}`;
    if (from === null) from = n;
  });
  if (from !== null) area += `L${x(values.length - 1).toFixed(1)} ${y(0)}Z`;
  if (!svg.firstChild) {
    for (const kind of ["grid", "grid", "grid"]) svg.appendChild(document.createElementNS(SVG, "path")).setAttribute("class", kind);
    svg.appendChild(document.createElementNS(SVG, "path")).setAttribute("class", "area");
    svg.appendChild(document.createElementNS(SVG, "path")).setAttribute("class", "line");
    for (const kind of ["top", "half", "ago", "now"]) svg.appendChild(document.createElementNS(SVG, "text")).setAttribute("class", kind);
  }
  const parts = svg.children;
  [0, top / 2, top].forEach((v, n) => parts[n].setAttribute("d", `M${left} ${y(v).toFixed(1)}H${width - left}`));
  parts[3].setAttribute("d", area);
  parts[4].setAttribute("d", line);
  const label = (node, content, atX, atY, anchor) => {
    node.textContent = content;
    node.setAttribute("x", atX);
    node.setAttribute("y", atY);
    node.setAttribute("text-anchor", anchor);
  };
  label(parts[5], axis(top), left, y(top) - 3, "start");
  label(parts[6], axis(top / 2), left, y(top / 2) - 3, "start");
  label(parts[7], "5 min ago", left, height - 3, "start");
  label(parts[8], "now", width - left, height - 3, "end");
}

function axis(value) {
  return value >= 10000 ? short.format(value) : number(value);
}

function niceTop(most) {
  if (!(most > 0)) return 4;
  const power = Math.pow(10, Math.floor(Math.log10(most)));
  for (const step of [1, 2, 4, 5, 10]) if (step * power >= most) return Math.max(step * power, 1);
  return 10 * power;
}

function busyCell(busy) {
  return (td) => {
    if (!td.firstChild) {
      const meter = document.createElementNS(SVG, "svg");
      meter.setAttribute("class", "meter");
      meter.setAttribute("viewBox", "0 0 100 8");
      meter.setAttribute("preserveAspectRatio", "none");
      meter.setAttribute("aria-hidden", "true");
      for (const kind of ["rail", "fill"]) {
        const bar = meter.appendChild(document.createElementNS(SVG, "rect"));
        bar.setAttribute("class", kind);
        bar.setAttribute("height", "8");
        bar.setAttribute("width", "100");
      }
      td.append(meter, element("span", "percent"));
    }
    td.querySelector(".fill").setAttribute("width", Math.min(100, 100 * busy).toFixed(1));
    td.querySelector(".fill").classList.toggle("hot", busy > 0.8);
    td.querySelector(".percent").textContent = `${Math.round(100 * busy)} %`;
  };
}

function stateCell(state) {
  return (td) => {
    if (!td.firstChild) td.append(element("span"));
    td.firstChild.className = `state ${state}`;
    td.firstChild.textContent = state;
  };
}

function showFigures(f) {
  lastAt = f.at;
  text("health", f.health);
  byId("health").className = `pill ${f.health}`;
  if (about) text("uptime", duration((f.at - about.started) / 1000));
  text("calls", number(f.calls.total));
  text("calls-sub", `${number(f.calls.answered)} talking, ${number(f.calls.ringing + f.calls.trying)} ringing, ${number(f.calls.held)} held`);
  text("cps", number(f.calls_per_second));
  text("cps-sub", f.shed_per_second > 0 ? `${number(f.shed_per_second)}/s refused` : "none refused");
  text("registrations", number(f.registrations));
  text("registrations-sub", about ? `limit ${number(about.limit_registrations)}` : "");
  text("rps", number(f.requests_per_second));
  text("pps", number(f.rtp_per_second));
  text("pps-sub", `${number(f.lost)} lost, ${number(f.one_way)} one-way calls`);
  text("p50", millis(f.setup_p50_ms));
  text("p99", f.setup_p99_ms === null ? "no call in the last minute" : `p99 ${millis(f.setup_p99_ms)} ms, last minute`);
  table("shards", f.shards, (s) => s.shard, (s) => [
    s.shard, stateCell(s.state), busyCell(s.busy), number(s.calls), number(s.registrations), number(s.transactions),
    number(s.ports_used), number(s.ports_free), number(s.ports_quarantined), number(s.mesh_depth), number(s.restarts),
  ], ["", "", "busy", "n", "n", "n", "n", "n", "n", "n", "n"]);
  const shown = byId("live-calls").tBodies[0].rows.length;
  const more = f.calls.total - shown;
  byId("more-calls").hidden = !(shown >= 50 && more > 0);
  text("more-calls", `and ${number(more)} more`);
}

function addPoint(f) {
  if (past.length && past[past.length - 1].at >= f.at) return;
  past.push({
    at: f.at, calls: f.calls.total, requests: f.requests_per_second, rtp: f.rtp_per_second, setup_p99_ms: f.setup_p99_ms,
  });
  if (past.length > HISTORY) past.shift();
}

function drawCharts() {
  for (const name of ["calls", "requests", "rtp", "setup_p99_ms"]) chart(name);
}

function endButton(call) {
  return (td) => {
    if (td.firstChild) return;
    const button = element("button", "plain", "End");
    button.type = "button";
    button.setAttribute("aria-label", `End the call from ${call.from} to ${call.to}`);
    button.addEventListener("click", async () => {
      // Two presses: the first one asks.
      if (button.textContent === "End") {
        button.textContent = "Sure?";
        button.classList.add("danger");
        setTimeout(() => { button.textContent = "End"; button.classList.remove("danger"); }, 3000);
        return;
      }
      button.disabled = true;
      const answer = await ask(`/api/calls/${encodeURIComponent(call.id)}`, "DELETE");
      if (!answer.ok) button.disabled = false;
    });
    td.append(button);
  };
}

function showCalls(calls) {
  table("live-calls", calls, (c) => c.id, (c) => [
    stateCell(c.state), plainUri(c.from), plainUri(c.to), `${c.mode}, ${c.media}`, duration(c.seconds),
    `${number(c.from_caller.packets)} / ${number(c.from_callee.packets)}`,
    `${number(c.from_caller.lost)} / ${number(c.from_callee.lost)}`,
    `${c.from_caller.jitter_ms.toFixed(1)} / ${c.from_callee.jitter_ms.toFixed(1)}`, c.shard, endButton(c),
  ], ["", "name", "name", "quiet", "n", "n", "n", "n", "n", "action"]);
  byId("no-calls").hidden = calls.length > 0;
}

// Without the scheme and the parameters: who, not how.
function plainUri(uri) {
  return uri.startsWith("sip:") ? uri.slice(4).split(";")[0] : uri;
}

function showRegistrations(rows, total) {
  table("bindings", rows, (r) => `${r.aor}\n${r.contact}`, (r) => [
    r.aor, r.contact, r.source, r.transport, duration(r.expires_in), r.user_agent,
  ], ["name", "name", "quiet", "quiet", "n", "name quiet after"]);
  byId("no-bindings").hidden = rows.length > 0;
  byId("more-bindings").hidden = rows.length < 50 || !(total > rows.length);
  text("more-bindings", `and more of ${number(total)}; type to narrow it down`);
}

async function ask(path, method = "GET") {
  const answer = await fetch(path, { method, headers: { "X-Ringfort": "1" }, credentials: "same-origin" });
  if (answer.status === 401) location.assign("/");
  return answer;
}

let searches = 0;
async function search() {
  const wanted = prefix;
  if (!wanted) return;
  const serial = ++searches;
  const answer = await ask(`/api/registrations?limit=50&prefix=${encodeURIComponent(wanted)}`).catch(() => null);
  if (!answer || !answer.ok || serial !== searches || wanted !== prefix) return;
  const found = await answer.json();
  showRegistrations(found.registrations, found.registrations.length);
}

function heard() {
  lastHeard = performance.now();
  if (!byId("lost").hidden) byId("lost").hidden = true;
  document.body.classList.remove("stale");
}

function watch() {
  if (performance.now() - lastHeard < STALE_MS) return;
  if (byId("lost").hidden) {
    byId("lost").hidden = false;
    text("lost-since", lastAt ? new Date(lastAt).toLocaleTimeString() : "before");
    text("health", "no connection");
    byId("health").className = "pill lost";
    document.body.classList.add("stale");
  }
}

let source = null;
function connect() {
  source = new EventSource("/events");
  const on = (name, handle) => source.addEventListener(name, (event) => { heard(); handle(JSON.parse(event.data)); });
  let total = 0;
  on("history", (points) => { past = points.slice(-HISTORY); drawCharts(); });
  on("figures", (f) => { total = f.registrations; addPoint(f); showFigures(f); drawCharts(); });
  on("calls", showCalls);
  on("registrations", (rows) => {
    if (prefix) search();
    else showRegistrations(rows, total);
    if (about && about.demonstration && !usersShown) {
      usersShown = true;
      showUsers();
    }
  });
  // A refusal (signed out, too many browsers) ends the source for good; a lost connection does not.
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(async () => {
      await ask("/api/about").catch(() => null);
      connect();
    }, 3000);
  });
}

async function showUsers() {
  const answer = await ask("/api/users?secrets=true");
  if (!answer.ok) return;
  const { users } = await answer.json();
  if (!users.some((user) => user.password)) return;
  text("demo-domain", about.domains[0] || location.hostname);
  text("demo-listeners", about.listeners.join(", "));
  if (about.echo) {
    byId("demo-echo").append("call ", element("code", "", about.echo), " and hear yourself (echo test)");
  }
  if (about.music) {
    byId("demo-music").append(about.echo ? ", or " : "call ", element("code", "", about.music), " for music on hold.");
  }
  const copy = (user) => (td) => {
    if (td.firstChild || !navigator.clipboard) return;
    const button = element("button", "plain", "Copy");
    button.type = "button";
    button.setAttribute("aria-label", `Copy the password of ${user.name}`);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(user.password);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    td.append(button);
  };
  table("users", users, (u) => u.name, (u) => [u.name, u.password || "", copy(u)], ["", "mono", "action"]);
  // Who has no phone yet wants this first; later the figures are of more interest.
  if (byId("bindings").tBodies[0].rows.length < 2) byId("main").insertBefore(byId("demo"), byId("shards-title").parentNode);
  byId("demo").hidden = false;
}

async function begin() {
  byId("search").addEventListener("input", (event) => { prefix = event.target.value.trim(); search(); });
  byId("sign-out").addEventListener("click", async () => { await ask("/logout", "POST"); location.assign("/"); });
  window.addEventListener("resize", drawCharts);
  lastHeard = performance.now();
  setInterval(watch, 500);
  connect();
  const answer = await ask("/api/about").catch(() => null);
  if (!answer || !answer.ok) return;
  about = await answer.json();
  text("version", about.version);
  byId("version").title = about.revision;
  text("listeners", about.listeners.join("  "));
}

begin();
