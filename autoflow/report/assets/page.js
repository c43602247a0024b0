"use strict";
// Draws the report from the data in this file. Texts are set as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const MARKS = { train: "train", validation: "validation", test: "test" };
const SPLITS = [...new Set(data.rows.map((row) => row[1]))];

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") node.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function draw(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const number = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const count = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));
const interval = (of) => (!of || of.mean === null ? "–" : `${number(of.mean)} [${number(of.low)}, ${number(of.high)}]`);
const money = (usd, unpriced) => (usd === null || usd === undefined ? "unknown" : `$${usd.toFixed(4)}${unpriced ? ` and ${unpriced} calls without a price` : ""}`);
const byId = new Map(data.candidates.map((candidate) => [candidate.id, candidate]));
const part = (id) => document.getElementById(id);

function table(heading, rows, caption) {
  const numeric = heading.map((name, column) => rows.length > 0 && rows.every((row) => typeof row[column] === "string" && /^[–\-+$0-9.,[\] ]+$/.test(row[column])));
  const cell = (value) => (value instanceof Node ? value : String(value));
  return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    make("table", {},
      make("thead", {}, make("tr", {}, ...heading.map((name, column) => make("th", { scope: "col", class: numeric[column] ? "number" : null }, name)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((value, column) => make("td", { class: numeric[column] ? "number" : String(value).length > 40 ? "said" : null }, cell(value))))))));
}

function header() {
  part("title").textContent = data.run;
  part("lead").textContent = `${data.score} · ${data.kind} · ${data.state === "complete" ? "complete" : `not complete: ${data.state}`}`;
  for (const section of document.querySelectorAll("main > section")) {
    if (section.hidden) continue;
    part("nav").append(make("li", {}, make("a", { href: `#${section.id}` }, section.querySelector("h2").textContent)));
  }
}

function summary() {
  const into = part("summary");
  if (data.verdict) into.append(make("p", { class: "verdict" }, data.verdict));
  const spend = data.spend;
  const facts = [
    ["Workflows", count(data.candidates.length)],
    ["Tasks", count(data.tasks.length)],
    ["Traces", count(data.rows.length)],
    ["Calls", count(spend.calls)],
    ["Tokens in / out", `${count(spend.input_tokens)} / ${count(spend.output_tokens)}`],
    ["Cost", money(spend.usd, spend.unpriced)],
    ["Seconds", data.seconds === null ? "–" : count(Math.round(data.seconds))],
  ];
  into.append(make("dl", { class: "facts" }, ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))));
  const compared = Object.values(data.against_hand_written).some(Boolean);
  const rows = data.candidates.flatMap((candidate) => Object.entries(candidate.splits).filter(([split]) => split === "test" || data.kind === "bench").map(([split, of]) =>
    [candidate.id + (candidate.id === data.best ? " (best)" : ""), split, interval(of), count(of.n), count(of.unscored), count(of.calls), count(of.tokens), money(of.usd), ...(compared ? [data.against_hand_written[candidate.id] || "–"] : [])]));
  const measures = ["mean and 95 % interval", "n", "unscored", "calls", "tokens", "cost"];
  if (rows.length) into.append(make("h3", {}, data.kind === "bench" ? "Result" : "Test split, read once for the frozen shortlist"), table(["workflow", "split", ...measures, ...(compared ? ["against hand-written"] : [])], rows, "Results"));
  const references = data.references.map((of) => [of.id, interval(of), count(of.n), count(of.unscored), count(of.calls), count(of.tokens), money(of.usd, of.unpriced), [of.against, of.note].filter(Boolean).join("; ") || "–"]);
  if (references.length) into.append(make("h3", {}, "Reference methods on the same tasks"), table(["method", ...measures, `${data.best} against it`], references, "Reference methods"));
  for (const note of data.notes) into.append(make("p", {}, `Note: ${note}`));
  if (data.answered.length) into.append(make("p", {}, `Models that answered: ${data.answered.join(", ")}`));
}

function progress() {
  const shown = data.candidates.filter((candidate) => Object.values(candidate.splits).some((of) => of.mean !== null));
  const into = part("progress");
  if (!shown.length) { into.append(make("p", {}, "No workflow has a score yet.")); return; }
  const left = 46, top = 16, height = 240, step = Math.max(26, Math.min(80, 900 / shown.length)), width = left + step * shown.length + 20, tilted = step < 80, below = tilted ? 96 : 46;
  const y = (value) => top + height * (1 - value);
  const svg = draw("svg", { width, height: height + below, viewBox: `0 0 ${width} ${height + below}`, role: "img", "aria-label": "Mean score of each workflow with its interval; the table of workflows has the same numbers" });
  for (const value of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(draw("line", { class: "axis", x1: left, x2: width - 10, y1: y(value), y2: y(value) }));
    const label = draw("text", { class: "soft", x: left - 8, y: y(value) + 4, "text-anchor": "end" }); label.textContent = value.toFixed(2); svg.append(label);
  }
  let best = null, path = "";
  shown.forEach((candidate, index) => {
    const middle = left + step * (index + 0.5);
    const name = draw("text", { x: middle, y: height + top + 18, "text-anchor": tilted ? "end" : "middle" });
    if (tilted) name.setAttribute("transform", `rotate(-45 ${middle} ${height + top + 18})`);
    name.textContent = candidate.id.length > 14 ? `${candidate.id.slice(0, 13)}…` : candidate.id;
    svg.append(name);
    const splits = Object.entries(candidate.splits).filter(([, of]) => of.mean !== null);
    splits.forEach(([split, of], place) => {
      const x = middle + (place - (splits.length - 1) / 2) * Math.min(12, step / 3);
      const mark = MARKS[split] || "validation";
      svg.append(draw("line", { class: `span ${mark}-span`, x1: x, x2: x, y1: y(of.low), y2: y(of.high) }));
      const title = draw("title"); title.textContent = `${candidate.id}, ${split}: ${interval(of)}, n = ${of.n}`;
      const shape = mark === "train" ? draw("circle", { class: mark, cx: x, cy: y(of.mean), r: 4.5 }, title)
        : mark === "test" ? draw("path", { class: mark, d: `M${x} ${y(of.mean) - 6}l6 6-6 6-6-6z` }, title)
        : draw("rect", { class: mark, x: x - 4.5, y: y(of.mean) - 4.5, width: 9, height: 9 }, title);
      svg.append(shape);
    });
    const validation = candidate.splits.validation;
    if (validation && validation.mean !== null && (best === null || validation.mean > best)) best = validation.mean;
    if (best !== null) path += `${path ? "L" : "M"}${left + step * index} ${y(best)}L${left + step * (index + 1)} ${y(best)}`;
  });
  if (path && data.kind === "improve") svg.append(draw("path", { class: "best", d: path }));
  into.append(make("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Chart of scores" }, svg));
  into.append(make("p", {}, SPLITS.map((split) => `${{ train: "circle", test: "diamond" }[MARKS[split]] || "square"}: ${split}`).join(", ") + (data.kind === "improve" ? "; dashed: the best on validation so far; bars: 95 % intervals." : "; bars: 95 % intervals.")));
}

let current = null;

function candidates() {
  const into = part("candidates");
  if (!data.candidates.length) { into.append(make("p", {}, "No workflow is recorded yet.")); return; }
  const known = new Set(data.candidates.map((candidate) => candidate.id));
  const children = new Map();
  for (const candidate of data.candidates) {
    const parent = known.has(candidate.parent) ? candidate.parent : null;
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(candidate);
  }
  const entry = (candidate) => {
    const of = candidate.splits.validation || Object.values(candidate.splits)[0];
    const said = candidate.valid ? (candidate.duplicate_of ? `the same as ${candidate.duplicate_of}` : interval(of)) : "invalid draft";
    const button = make("button", { type: "button", "data-id": candidate.id, onclick: () => select(candidate.id) }, make("strong", {}, candidate.id),
      candidate.id === data.best ? make("span", { class: "tag" }, "best") : null, make("span", { class: "note" }, `${said}${candidate.reason ? ` · ${candidate.reason}` : ""}`));
    return make("li", {}, button);
  };
  // A chain of descent can be as long as the run: built with a stack, not by recursion.
  const root = make("ul", { class: "tree" });
  const stack = [[root, null]];
  while (stack.length) {
    const [list, parent] = stack.pop();
    for (const candidate of children.get(parent) || []) {
      const item = entry(candidate);
      list.append(item);
      if (children.has(candidate.id)) { const below = make("ul"); item.append(below); stack.push([below, candidate.id]); }
    }
  }
  into.append(make("div", { class: "columns" }, make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Workflows by descent" }, root), make("div", { id: "candidate", "aria-live": "polite" })));
  select(data.best || (data.candidates[0] || {}).id);
}

function select(id) {
  const candidate = byId.get(id);
  if (!candidate) return;
  current = id;
  for (const button of document.querySelectorAll(".tree button")) button.setAttribute("aria-current", String(button.dataset.id === id));
  const into = part("candidate");
  into.replaceChildren(make("h3", {}, id));
  if (candidate.reason) into.append(make("p", {}, candidate.reason));
  for (const error of candidate.errors) into.append(make("pre", {}, error));
  const rows = Object.entries(candidate.splits).map(([split, of]) => [split, interval(of), count(of.n), count(of.unscored), count(of.calls), count(of.tokens), money(of.usd), number(of.seconds, 1)]);
  if (rows.length) into.append(table(["split", "mean and 95 % interval", "n", "unscored", "calls", "tokens", "cost", "seconds"], rows, `Scores of ${id}`));
  if (candidate.changes) into.append(make("h3", {}, `Changes from ${candidate.parent}`), make("pre", {}, candidate.changes));
  if (candidate.graph) into.append(make("h3", {}, "Paths taken"), graph(candidate.graph, id));
  into.append(make("details", {}, make("summary", {}, candidate.valid ? "The workflow's text" : "What the generator wrote"), make("pre", {}, candidate.text)));
}

function wrapped(text, width) {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const last = lines[lines.length - 1];
    if (last && last.length + word.length + 1 > width) lines.push(word); else lines[lines.length - 1] = last ? `${last} ${word}` : word;
  }
  return lines.length > 2 ? [lines[0], `${lines[1].slice(0, width - 1)}…`] : lines.map((line) => (line.length > width ? `${line.slice(0, width - 1)}…` : line));
}

function graph(of, id) {
  const box = { width: 172, height: 62 }, gap = { x: 44, y: 56 };
  const layers = new Map(of.spots.map((spot) => [spot.name, spot.layer]));
  const passes = (way) => !way.returning && layers.get(way.target) - layers.get(way.source) !== 1;
  // Room for the labels of ways that pass by other steps.
  const side = of.ways.some(passes) ? 160 : 96;
  const width = of.width * (box.width + gap.x) + 2 * side, height = of.layers * (box.height + gap.y) - gap.y + 16;
  const at = new Map(of.spots.map((spot) => [spot.name, { ...spot, x: side + spot.position * (box.width + gap.x) + box.width / 2, y: spot.layer * (box.height + gap.y) + box.height / 2 + 8 }]));
  const most = Math.max(1, ...of.ways.map((way) => way.count));
  const said = of.spots.map((spot) => `${spot.name} (${spot.type}, ${spot.operator}), ran ${spot.visits} times`).join("; ");
  const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Steps of ${id}: ${said}` });
  const marker = draw("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" }, draw("path", { class: "tip", d: "M0 0L8 4L0 8z" }));
  svg.append(draw("defs", {}, marker));
  const labels = [];
  of.ways.forEach((way, index) => {
    const from = at.get(way.source), to = at.get(way.target);
    let d, middle, anchor = "middle";
    if (way.returning) {
      const x = Math.max(from.x, to.x) + box.width / 2 + 24 + (index % 3) * 10;
      d = `M${from.x + box.width / 2} ${from.y}C${x + 10} ${from.y} ${x + 10} ${to.y} ${to.x + box.width / 2} ${to.y}`;
      middle = [x, (from.y + to.y) / 2];
    } else {
      const bend = passes(way) ? (to.x >= from.x ? -1 : 1) * (box.width / 2 + 22) : 0;
      const y1 = from.y + box.height / 2, y2 = to.y - box.height / 2;
      d = `M${from.x} ${y1}C${from.x + bend * 1.3} ${y1 + 34} ${to.x + bend * 1.3} ${y2 - 34} ${to.x} ${y2}`;
      middle = [(from.x + to.x) / 2 + bend + 4 * Math.sign(bend), (y1 + y2) / 2 + 4];
      if (bend) anchor = bend < 0 ? "end" : "start";
    }
    svg.append(draw("path", { class: way.count ? "way" : "way unused", d, "stroke-width": 1 + (3 * way.count) / most, "marker-end": "url(#tip)" }));
    const label = draw("text", { class: "label", x: middle[0], y: middle[1], "text-anchor": anchor });
    label.textContent = `${way.label.length > 22 ? `${way.label.slice(0, 21)}…` : way.label} ×${way.count}`.trim();
    labels.push(label);
  });
  for (const spot of at.values()) {
    const round = { terminal: box.height / 2, decision: 0 }[spot.type] ?? 8;
    const title = draw("title"); title.textContent = spot.instruction || spot.name;
    const shape = spot.type === "decision"
      ? draw("path", { class: "box", d: `M${spot.x - box.width / 2} ${spot.y}l14 ${-box.height / 2}h${box.width - 28}l14 ${box.height / 2}l-14 ${box.height / 2}h${28 - box.width}z` }, title)
      : draw("rect", { class: "box", x: spot.x - box.width / 2, y: spot.y - box.height / 2, width: box.width, height: box.height, rx: round }, title);
    svg.append(shape);
    const lines = wrapped(spot.name, 22);
    lines.forEach((line, row) => { const text = draw("text", { x: spot.x, y: spot.y - (lines.length === 2 ? 14 : 8) + row * 15, "text-anchor": "middle" }); text.textContent = line; svg.append(text); });
    const below = draw("text", { class: "soft", x: spot.x, y: spot.y + 22, "text-anchor": "middle" });
    below.textContent = `${spot.operator.length > 18 ? `${spot.operator.slice(0, 17)}…` : spot.operator} ×${spot.visits}`;
    svg.append(below);
  }
  svg.append(...labels);
  return make("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": `Graph of ${id}` }, svg);
}

const ROW = 32;
const COLUMNS = [
  ["task", 110, (row) => data.tasks[row[2]][0]], ["text", 240, (row) => data.tasks[row[2]][1]], ["workflow", 130, (row) => row[0]], ["split", 90, (row) => row[1]],
  ["score", 66, (row) => row[4]], ["reason", 120, (row) => row[5]], ["calls", 60, (row) => row[6]], ["tokens", 74, (row) => row[7]], ["seconds", 76, (row) => row[8]], ["answer", null, (row) => row[9]],
];
const NUMERIC = new Set(["score", "calls", "tokens", "seconds"]);
const natural = new Intl.Collator("en", { numeric: true }).compare;
// As recorded, workflow by workflow and split by split, but task 2 before task 10.
const recorded = (() => {
  let group = -1;
  const groups = data.rows.map((row, index) => (group += Number(!index || row[0] !== data.rows[index - 1][0] || row[1] !== data.rows[index - 1][1])));
  return data.rows.map((_, index) => index).sort((a, b) => groups[a] - groups[b] || natural(data.tasks[data.rows[a][2]][0], data.tasks[data.rows[b][2]][0]) || a - b);
})();
let shown = [], order = { column: null, down: false };

function tasks() {
  const into = part("tasks");
  if (!data.rows.length) { into.append(make("p", {}, "No task has a result yet.")); return; }
  const values = (column) => [...new Set(data.rows.map((row) => row[column]).filter((value) => value !== ""))].sort();
  const choice = (id, name, options) => make("label", {}, name, make("select", { id }, make("option", { value: "" }, "all"), ...options.map(([value, text]) => make("option", { value }, text))));
  const categories = [...new Set(data.tasks.map((task) => task[2]).filter(Boolean))].sort();
  const filters = make("div", { class: "filters" },
    make("label", {}, "Find in task and answer", make("input", { id: "find", type: "search", autocomplete: "off" })),
    choice("by-workflow", "Workflow", values(0).map((value) => [value, value])),
    choice("by-split", "Split", values(1).map((value) => [value, value])),
    categories.length ? choice("by-category", "Category", categories.map((value) => [value, value])) : null,
    choice("by-score", "Score", [["one", "1"], ["part", "between 0 and 1"], ["zero", "0"], ["none", "unscored"]]),
    choice("by-reason", "Reason", values(5).map((value) => [value, value])));
  const head = make("tr", {}, ...COLUMNS.map(([name], column) => make("th", { scope: "col", "aria-sort": "none", class: NUMERIC.has(name) ? "number" : null }, make("button", { type: "button", onclick: () => sort(column) }, name))));
  const columns = make("colgroup", {}, ...COLUMNS.map(([, width]) => { const column = make("col"); if (width) column.style.width = `${width}px`; return column; }));
  const body = make("tbody", { id: "rows" });
  const scroller = make("div", { class: "rows", id: "scroller", tabindex: "0", role: "region", "aria-label": "Results by task" }, make("table", {}, columns, make("thead", {}, head), body));
  into.append(filters, make("p", { id: "found", role: "status" }), scroller);
  filters.addEventListener("input", filter);
  scroller.addEventListener("scroll", () => requestAnimationFrame(paint));
  filter();
}

function filter() {
  const value = (id) => (part(id) ? part(id).value : "");
  const words = value("find").toLowerCase(), workflow = value("by-workflow"), split = value("by-split"), category = value("by-category"), score = value("by-score"), reason = value("by-reason");
  const fits = { "": () => true, one: (s) => s === 1, part: (s) => s !== null && s > 0 && s < 1, zero: (s) => s === 0, none: (s) => s === null }[score];
  shown = [];
  recorded.forEach((index) => {
    const row = data.rows[index], task = data.tasks[row[2]];
    if ((!workflow || row[0] === workflow) && (!split || row[1] === split) && (!category || task[2] === category) && (!reason || row[5] === reason) && fits(row[4])
      && (!words || task[0].toLowerCase().includes(words) || task[1].toLowerCase().includes(words) || row[9].toLowerCase().includes(words))) shown.push(index);
  });
  arrange();
}

function sort(column) {
  order = { column, down: order.column === column ? !order.down : false };
  document.querySelectorAll("#scroller th").forEach((cell, index) => cell.setAttribute("aria-sort", index === column ? (order.down ? "descending" : "ascending") : "none"));
  arrange();
}

function arrange() {
  if (order.column !== null) {
    const of = COLUMNS[order.column][2], sign = order.down ? -1 : 1;
    // Missing values come last, whichever way the rest is sorted.
    const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : natural(String(a), String(b)));
    shown.sort((one, two) => { const a = of(data.rows[one]), b = of(data.rows[two]); return a === null ? (b === null ? one - two : 1) : b === null ? -1 : sign * compare(a, b) || one - two; });
  }
  const scored = shown.map((index) => data.rows[index][4]).filter((value) => value !== null);
  const mean = scored.length ? `, mean of those scored ${number(scored.reduce((sum, value) => sum + value, 0) / scored.length)}` : "";
  part("found").textContent = `${count(shown.length)} of ${count(data.rows.length)} traces${mean}`;
  part("scroller").scrollTop = 0;
  paint();
}

function paint() {
  const scroller = part("scroller"), first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - 10), last = Math.min(shown.length, first + Math.ceil(scroller.clientHeight / ROW) + 20);
  const space = (rows) => { const row = make("tr", { class: "space", "aria-hidden": "true" }, make("td", { colspan: COLUMNS.length })); row.style.height = `${rows * ROW}px`; return row; };
  const rows = shown.slice(first, last).map((index) => {
    const row = data.rows[index];
    return make("tr", {}, ...COLUMNS.map(([name, , of], column) => {
      const value = of(row);
      const text = name === "score" ? number(value) : String(value ?? "");
      const epoch = row[3] ? ` (epoch ${row[3] + 1})` : "";
      return make("td", { class: NUMERIC.has(name) ? "number" : null, title: text }, column === 0 ? make("button", { type: "button", onclick: () => open(index) }, text + epoch) : text);
    }));
  });
  part("rows").replaceChildren(...(first ? [space(first)] : []), ...rows, ...(last < shown.length ? [space(shown.length - last)] : []));
}

async function block(at) {
  const bytes = Uint8Array.from(atob(part(`block-${at}`).textContent), (letter) => letter.charCodeAt(0));
  return JSON.parse(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text());
}

async function open(index) {
  const row = data.rows[index], task = data.tasks[row[2]], body = part("trace-body");
  part("h-trace").textContent = `Task ${task[0]}, workflow ${row[0]}, ${row[1]}`;
  body.replaceChildren(make("p", {}, "Reading the trace …"));
  part("trace").showModal();
  const trace = (await block(Math.floor(index / data.block)))[index % data.block];
  body.replaceChildren();
  if (task[1]) body.append(make("h3", {}, "Task"), make("pre", {}, task[1]));
  const kept = row[10] && data.pictures.find((picture) => picture.name === row[10] || picture.name.endsWith(`/${row[10]}`));
  if (kept) body.append(make("h3", {}, "Pictures"), figure(kept));
  if (!trace) { body.append(make("p", {}, "No trace is recorded.")); return; }
  body.append(make("h3", {}, `Answer, score ${number(row[4])}${row[5] ? `, ${row[5]}` : ""}`), make("pre", {}, trace.answer || "none"));
  if (trace.failure) body.append(make("p", {}, `Failed: ${trace.failure}`));
  trace.steps.forEach((step, place) => {
    const way = step.label ? `, answered ${step.label}` : "";
    body.append(make("h3", {}, `${place + 1}. ${step.step}${step.visit > 1 ? `, visit ${step.visit}` : ""} (${step.operator}, ${number(step.seconds, 2)} s${way})`));
    body.append(make("pre", {}, step.failure ? `failed: ${step.failure}` : step.result || "no result"));
    step.calls.forEach((call, turn) => {
      const tokens = call.tokens.map((value) => (value === null ? "?" : value)).join(" in, ");
      const inside = call.messages.flatMap(([role, text]) => [make("p", { class: "turn" }, role), make("pre", {}, text)]);
      inside.push(make("p", { class: "turn" }, call.error ? "error" : "reply"), make("pre", {}, call.error || (call.reply ?? "not recorded")));
      body.append(make("details", {}, make("summary", {}, `Call ${turn + 1}: ${call.model}, ${call.purpose}, ${tokens} out, ${call.cached ? "from the record" : `${number(call.seconds, 2)} s`}`), ...inside));
    });
  });
  body.scrollTop = 0;
}

function figure(picture, small = false) {
  const image = picture.data ? make("img", { src: picture.data, alt: picture.name, loading: "lazy" }) : make("p", {}, "not embedded: pictures beyond 8 MB are left out");
  return make("figure", {}, small && picture.data ? make("button", { type: "button", onclick: () => enlarge(picture) }, image) : image, make("figcaption", {}, picture.name));
}

function enlarge(picture) {
  part("h-trace").textContent = picture.name;
  part("trace-body").replaceChildren(figure(picture));
  part("trace").showModal();
}

function images() {
  if (!data.pictures.length) return;
  const into = part("pictures");
  into.hidden = false;
  into.append(make("div", { class: "gallery" }, ...data.pictures.map((picture) => figure(picture, true))));
}

function settings() {
  const plain = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : String(value));
  const into = part("settings");
  if (data.command) into.append(make("pre", {}, data.command));
  into.append(table(["setting", "value"], Object.entries(data.config).map(([key, value]) => [key, plain(value)]), "Settings"), make("p", {}, `Written by autoflow ${data.autoflow}.`));
}

part("close").addEventListener("click", () => part("trace").close());
images(); header(); summary(); progress(); candidates(); tasks(); settings();
document.documentElement.dataset.ready = "yes";
