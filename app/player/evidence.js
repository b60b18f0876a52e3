// Why this clip: what the words and the picture gave along the video, and the map of all clips by begin and end.
// Asked of the server when it is opened, and again for another clip while it is open.
const why = part("why");
const explained = new Map(); // what was asked -> promise of what `evidence.explanation_view` gives
const svg = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

async function explain() {
  const found = answer();
  why.hidden = !(found && state.view.question && server?.explain);
  if (why.hidden || !why.open) return;
  const asked = {
    question: state.view.question, video: found.video, start: found.start, end: found.end,
    language: state.view.language ?? "", method: state.view.method ?? "",
  };
  const key = JSON.stringify([state.view.serial, asked]);
  if (why.dataset.shown === key) return;
  why.dataset.shown = key;
  drawShares(found.evidence);
  text(part("why-said"), "Working it out");
  part("lanes").replaceChildren();
  part("map").hidden = true;
  if (!explained.has(key)) explained.set(key, server.explain(asked));
  let told;
  try { told = await explained.get(key); } catch { told = { message: "This could not be worked out. See whether the app still runs, then open it again." }; }
  if (why.dataset.shown !== key) return;
  if (!told.ok) { explained.delete(key); delete why.dataset.shown; }
  text(part("why-said"), told.ok ? [told.notice !== state.view.notice && told.notice, told.missing, told.nothing].filter(Boolean).join(" ") : told.message);
  if (!told.ok) return;
  drawLanes(told.lanes);
  drawMap(told.map, found);
}

function drawShares(evidence) {
  part("shares").replaceChildren(...evidence.map((each) => el("li", { "data-name": each.name },
    el("b", {}, each.name), el("i", { style: { "--share": each.share }, "aria-hidden": "true" }),
    el("span", {}, el("strong", {}, each.percent), ` ${each.means}`))));
}

function drawLanes(lanes) {
  const most = Math.max(0.2, ...lanes.flatMap((lane) => lane.points.map(([, value]) => value)));
  const rows = lanes.map((lane) => {
    const curve = svg("svg", { class: "ac-curve", viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img", "aria-label": lane.label },
      svg("path", { class: "ac-curve-area" }), svg("path", { class: "ac-curve-line" }));
    drawCurve(curve, lane.points, most);
    return el("div", { class: "ac-lane", "data-lane": lane.name.toLowerCase() },
      el("p", {}, el("b", {}, lane.name), ` ${lane.means}`),
      el("div", { class: "ac-lane-plot" }, el("i", { class: "ac-lane-clip" }), curve, el("i", { class: "ac-lane-head" })));
  });
  const axis = rows.length && el("p", { class: "ac-axis", "aria-hidden": "true" },
    ...[0, 0.25, 0.5, 0.75, 1].map((where) => el("span", {}, clock(where * duration()))));
  part("lanes").replaceChildren(...rows, ...(axis ? [axis] : []));
}

function drawMap(map, found) {
  part("map").hidden = !map;
  if (!map) return;
  const n = map.count;
  const most = Math.max(...map.cells.map(([, , chance]) => chance));
  const at = (share) => map.begin + (map.end - map.begin) * share;
  const within = (cell) => [cell, cell + 1].map((edge) => clock(at(edge / n))).join("–");
  const squares = map.cells.map(([from, to, chance]) => svg("rect", {
    x: from, y: n - 1 - to, width: 1, height: 1, "fill-opacity": Math.max(0.06, Math.sqrt(chance / most)).toFixed(3),
  }, svg("title", {}, `begins ${within(from)}, ends ${within(to)}: ${chance < 0.01 ? "less than 1" : Math.round(100 * chance)} %`)));
  // The frame stands about the clip's own cell, with lines to where it begins and ends.
  const cell = (seconds) => Math.max(0, Math.min(n - 1, Math.floor((n * (seconds - map.begin)) / (map.end - map.begin))));
  const [x, y] = [cell(found.start), Math.max(cell(found.start), cell(found.end - 0.01))];
  const lines = svg("path", { class: "ac-map-lines", d: `M0,${n - y - 0.5}H${x + 0.5}V${n}` });
  const picture = svg("svg", { viewBox: `0 0 ${n} ${n}`, role: "img", "aria-label": map.label, preserveAspectRatio: "none" },
    svg("path", { class: "ac-map-ground", d: `M0,0H${n}L0,${n}Z` }), ...squares, lines);
  const frame = el("i", { class: "ac-map-clip", style: {
    left: `${(100 * (x + 0.5)) / n}%`, bottom: `${(100 * (y + 0.5)) / n}%`, "--cell": `${100 / n}%`,
  } });
  const ticks = [0, 0.5, 1].map((where) => clock(at(where)));
  part("plot").replaceChildren(
    el("p", { class: "ac-map-y", "aria-hidden": "true" }, ...[...ticks].reverse().map((tick) => el("span", {}, tick)), el("em", {}, "ends")),
    el("div", { class: "ac-map-field" }, picture, frame),
    el("p", { class: "ac-map-x", "aria-hidden": "true" }, ...ticks.map((tick) => el("span", {}, tick)), el("em", {}, "begins")));
  text(part("map-said"), map.said);
  text(part("map-how"), map.how);
}

why.addEventListener("toggle", explain);
part("lanes").addEventListener("click", (event) => {
  const plot = event.target.closest(".ac-lane-plot");
  if (!plot || !answer()) return;
  const box = plot.getBoundingClientRect();
  go(duration() * Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)));
});
