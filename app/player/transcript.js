// The transcript beside the video: follows it, is searched in, and takes it to what is clicked.
async function transcript(id) {
  const list = part("cues");
  if (list.dataset.video === id) { markCues(); return scrollTo(cueAt(state.clip.start)); }
  list.dataset.video = id;
  state.cues = [];
  state.current = -1;
  list.replaceChildren(el("li", { class: "ac-cues-empty" }, "Fetching the transcript"));
  text(part("origin"), "");
  if (!state.transcripts.has(id)) {
    state.transcripts.set(id, fetch(address(`video/${id}/transcript.json`)).then((reply) => (reply.ok ? reply.json() : Promise.reject(reply.status))));
  }
  let words;
  try { words = await state.transcripts.get(id); } catch { state.transcripts.delete(id); words = null; }
  if (list.dataset.video !== id) return;
  state.cues = words?.cues ?? [];
  list.replaceChildren(...state.cues.map(([from, , said], index) => el("li", { "data-cue": index },
    el("button", { type: "button", tabindex: "-1", "data-cue": index }, el("time", {}, clock(from)), el("span", {}, said)))));
  if (!state.cues.length) {
    list.replaceChildren(el("li", { class: "ac-cues-empty" }, words ? "Nothing is said in this video." : "The transcript could not be fetched."));
  }
  text(part("origin"), words?.origin ?? "");
  search();
  markCues();
  scrollTo(cueAt(state.clip.start));
}

const cueAt = (second) => {
  let [low, high] = [0, state.cues.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (state.cues[middle][0] <= second + 0.05) low = middle; else high = middle - 1;
  }
  return state.cues.length ? low : -1;
};
const row = (index) => part("cues").children[index];

function markCues() {
  if (!state.clip) return;
  state.cues.forEach(([from, to], index) => {
    const inside = Math.min(to, state.clip.end) - Math.max(from, state.clip.start) > Math.min(0.3, (to - from) / 2);
    row(index)?.classList.toggle("ac-in", inside);
  });
}

function speaking(now) {
  if (!state.cues.length) return;
  const index = cueAt(now);
  if (index === state.current) return;
  const old = row(state.current);
  old?.classList.remove("ac-now");
  old?.firstElementChild?.removeAttribute("aria-current");
  state.current = index;
  const button = row(index)?.firstElementChild;
  row(index)?.classList.add("ac-now");
  button?.setAttribute("aria-current", "true");
  if (!part("cues").contains(document.activeElement)) rove(index);
  if (state.follow) scrollTo(index);
}

// One cue at a time can be reached with Tab; the arrow keys go on from there.
function rove(index) {
  part("cues").querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
  row(index)?.firstElementChild?.setAttribute("tabindex", "0");
}

function scrollTo(index) {
  const target = row(index);
  if (!target) return;
  const list = part("cues");
  state.scrolling = performance.now();
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches || !state.follow;
  list.scrollTo({ top: target.offsetTop - list.clientHeight / 3, behavior: calm ? "auto" : "smooth" });
}

function following(on) {
  state.follow = on;
  part("follow").hidden = on;
  if (on) scrollTo(state.current >= 0 ? state.current : cueAt(state.clip?.start ?? 0));
}

for (const kind of ["wheel", "touchmove"]) part("cues").addEventListener(kind, () => following(false), { passive: true });
part("cues").addEventListener("click", (event) => {
  const cue = event.target.closest("[data-cue]");
  if (!cue) return;
  following(true);
  go(state.cues[Number(cue.dataset.cue)][0], true);
});
part("cues").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const at = Number(document.activeElement?.dataset?.cue);
  if (!step || Number.isNaN(at)) return;
  const next = Math.max(0, Math.min(state.cues.length - 1, at + step));
  rove(next);
  row(next).firstElementChild.focus();
  event.preventDefault();
  event.stopPropagation();
});

function search() {
  const wanted = part("find").value.trim().toLowerCase();
  state.hits = [];
  state.cues.forEach(([, , said], index) => {
    const words = row(index).querySelector("span");
    const pieces = [];
    let at = 0;
    const low = said.toLowerCase();
    for (let found = wanted ? low.indexOf(wanted) : -1; found >= 0 && low.length === said.length; found = low.indexOf(wanted, at)) {
      pieces.push(said.slice(at, found), el("mark", {}, said.slice(found, found + wanted.length)));
      at = found + wanted.length;
    }
    if (at) {
      state.hits.push(index);
      words.replaceChildren(...pieces, said.slice(at));
    } else if (words.firstElementChild) words.replaceChildren(said);
  });
  state.hit = -1;
  text(part("found"), wanted ? (state.hits.length ? `${state.hits.length} ${state.hits.length === 1 ? "line" : "lines"}` : "no line") : "");
  if (wanted && state.hits.length) nextHit(1);
}

function nextHit(step) {
  if (!state.hits.length) return;
  row(state.hits[state.hit])?.classList.remove("ac-hit");
  state.hit = (state.hit + step + state.hits.length) % state.hits.length;
  row(state.hits[state.hit]).classList.add("ac-hit");
  following(false);
  scrollTo(state.hits[state.hit]);
  text(part("found"), `${state.hit + 1} of ${state.hits.length}`);
}
part("find").addEventListener("input", search);
part("find").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  nextHit(event.shiftKey ? -1 : 1);
});
