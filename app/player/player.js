// The answer area: one <video>, mounted once, that plays a stretch of a full file, with its timeline, transcript
// and the other answers. `props.value` is what `render.reply_view` gives; nothing here writes it.
const video = part("video");
const root = element.querySelector(".ac-answer");
const state = {
  view: null, // the reply as the page shows it
  pick: -1, // which of its answers plays
  clip: null, // {start, end} of what plays, as the viewer set it
  within: true, // stop at the end of the clip
  transcripts: new Map(), // video id -> promise of {cues, origin}
  cues: [],
  current: -1, // index of the cue that is being said
  follow: true,
  scrolling: 0, // when the page itself last scrolled the transcript
  hits: [],
  hit: -1,
};

const clock = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds + 0.001));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return (h ? `${h}:${String(m).padStart(2, "0")}` : `${m}`) + `:${String(s).padStart(2, "0")}`;
};
const icon = (button, name) => button.querySelector("use").setAttribute("href", `#ac-${name}`);
const answer = () => state.view?.answers?.[state.pick];
const about = () => state.view?.videos?.[answer()?.video] ?? {};
const duration = () => (Number.isFinite(video.duration) && video.duration) || about().duration || 0;
const say = (words) => text(part("said"), words);
const announce = (words) => text(part("live"), words);

// What is shown
function busy(question) {
  if (!String(question ?? "").trim()) return;
  video.pause();
  root.dataset.state = "loading";
  root.setAttribute("aria-busy", "true");
  text(part("loading-words"), "Looking through your videos");
  announce("Looking through your videos");
  clearTimeout(busy.slow);
  busy.slow = setTimeout(() => text(part("loading-words"), "Still looking: the first question waits for the language model"), 2500);
}

function idle() {
  clearTimeout(busy.slow);
  root.setAttribute("aria-busy", "false");
  if (root.dataset.state !== "loading") return;
  root.dataset.state = "failed";
  text(part("verdict"), "The question did not get through");
  ["percent", "title", "facts", "words", "note"].forEach((name) => text(part(name), ""));
  text(part("message"), "The app did not answer. See whether it still runs, then ask again.");
  announce("The question did not get through. Ask again.");
}

function show(view) {
  clearTimeout(busy.slow);
  state.view = view;
  state.pick = -1;
  state.transcripts.clear(); // they may have been written anew since
  delete part("cues").dataset.video;
  root.setAttribute("aria-busy", "false");
  root.dataset.state = view.kind;
  root.classList.remove("ac-open");
  video.pause();
  text(part("more-title"), view.more);
  announce(view.announce);
  say("");
  drawCards();
  headline(view.answers[0]);
  if (view.kind === "answer") choose(view.pick, true);
  else if (view.pick >= 0) choose(view.pick, view.play);
  else address_bar(null);
}

function headline(found) {
  const view = state.view;
  const first = view.kind === "answer" && found;
  text(part("verdict"), first ? found.verdict : view.headline);
  text(part("percent"), first ? found.percent : "");
  part("gauge").firstElementChild.style.width = `${Math.round(100 * (first ? found.confidence ?? 0 : view.confidence))}%`;
  part("gauge").hidden = !first || found.confidence === null;
  text(part("title"), first ? found.title : "");
  text(part("message"), first ? "" : view.message);
  const facts = part("facts");
  facts.replaceChildren(...(first ? found.facts.map((fact) => el("span", {}, fact)) : []));
  text(part("words"), first ? found.text : "");
  text(part("note"), view.note);
}

function drawCards() {
  const view = state.view;
  const cards = view.answers.map((found, index) => {
    const picture = el("img", { src: address(found.picture), alt: "", width: 320, height: 180, loading: "lazy", decoding: "async" });
    picture.addEventListener("error", () => picture.remove());
    return el("li", {},
      el("button", { type: "button", class: "ac-card", "data-pick": index, "aria-label": found.label },
        el("span", { class: "ac-picture" }, picture, el("span", { class: "ac-stamp" }, found.time)),
        el("span", { class: "ac-card-title" }, found.title),
        el("span", { class: "ac-card-words" }, found.text),
        el("span", { class: "ac-card-why" }, ...found.evidence.map((why) =>
          el("span", { title: `${why.name}: ${why.percent}` }, why.name, el("i", { style: { "--share": why.share } }))))));
  });
  part("cards").replaceChildren(...cards);
  part("more").hidden = view.kind === "answer" ? cards.length < 2 : !cards.length;
}

function choose(index, play) {
  const found = state.view.answers[index];
  if (!found) return;
  state.pick = index;
  state.clip = { start: found.start, end: found.end };
  state.within = true;
  state.follow = true;
  root.classList.add("ac-open");
  if (state.view.kind === "answer") headline(found);
  part("badge").hidden = state.view.kind === "answer";
  text(part("badge"), state.view.badge);
  for (const card of part("cards").querySelectorAll("[data-pick]")) {
    card.setAttribute("aria-current", Number(card.dataset.pick) === index ? "true" : "false");
  }
  load(found);
  drawTimeline();
  drawClip();
  resetRating();
  transcript(found.video);
  seek(found.start);
  if (play) start();
  address_bar(found);
}

function load(found) {
  const source = address(`video/${found.video}/play`);
  part("broken").hidden = !about().broken;
  text(part("broken"), about().broken);
  if (video.getAttribute("src") === source) return;
  video.poster = address(`video/${found.video}/frame.jpg?t=${found.start.toFixed(1)}`);
  video.src = source;
  part("track").src = address(`video/${found.video}/captions.vtt`);
  captions(remembered("captions", "off") === "on");
  video.playbackRate = Number(part("speed").value);
}

// The question, and with an answer its video and span, so that reloading or copying the address finds it again.
function address_bar(found) {
  const url = new URL(location.href);
  for (const key of ["q", "v", "s", "e"]) url.searchParams.delete(key);
  if (state.view.question) url.searchParams.set("q", state.view.question);
  if (found) {
    url.searchParams.set("v", found.video);
    url.searchParams.set("s", state.clip.start.toFixed(1));
    url.searchParams.set("e", state.clip.end.toFixed(1));
  }
  try { history.replaceState(history.state, "", url); } catch { /* an embedding page may forbid it */ }
  return url.href;
}

// Playing
function start() {
  part("ended").hidden = true;
  part("bigplay").hidden = true;
  const playing = video.play();
  if (playing) playing.catch((error) => { if (error.name === "NotAllowedError") part("bigplay").hidden = false; });
}

function seek(seconds) {
  part("ended").hidden = true;
  video.currentTime = Math.max(0, Math.min(seconds, duration() ? duration() - 0.05 : seconds));
  drawHead();
}

// Going somewhere else by hand means watching on, not being stopped at the end of the clip.
function go(seconds, play = false) {
  state.within = seconds >= state.clip.start - 0.5 && seconds < state.clip.end;
  seek(seconds);
  if (play) start();
}

function toggle() {
  if (!answer()) return;
  if (!video.paused) return video.pause();
  if (state.within && video.currentTime >= state.clip.end - 0.3) seek(state.clip.start);
  start();
}

function replay() {
  if (!answer()) return;
  state.within = true;
  seek(state.clip.start);
  start();
}

function onward() {
  if (!answer()) return;
  state.within = false;
  if (video.paused && video.currentTime < state.clip.start) seek(state.clip.start);
  start();
}

function atEnd() {
  if (!state.clip || !state.within || video.paused || video.seeking) return;
  if (video.currentTime < state.clip.end - 0.03) return;
  video.pause();
  part("ended").hidden = false;
}

let looping = false; // one loop, however fast somebody presses play and pause
function frame() {
  atEnd();
  drawHead();
  looping = !video.paused && requestAnimationFrame(frame) > 0;
}

function captions(on) {
  for (const track of video.textTracks) track.mode = on ? "showing" : "hidden";
  part("captions").setAttribute("aria-pressed", String(on));
  remember("captions", on ? "on" : "off");
}

function speed(step) {
  const list = part("speed");
  list.selectedIndex = Math.max(0, Math.min(list.options.length - 1, list.selectedIndex + step));
  list.dispatchEvent(new Event("change"));
}

function full() {
  if (document.fullscreenElement) return document.exitFullscreen();
  if (video.requestFullscreen) return video.requestFullscreen().catch(() => say("Full screen is not allowed here."));
  if (video.webkitEnterFullscreen) video.webkitEnterFullscreen();
}

video.addEventListener("play", () => { icon(part("toggle"), "pause"); part("toggle").setAttribute("aria-label", "Pause"); if (!looping) frame(); });
video.addEventListener("pause", () => { icon(part("toggle"), "play"); part("toggle").setAttribute("aria-label", "Play"); drawHead(); });
video.addEventListener("timeupdate", () => { atEnd(); drawHead(); });
video.addEventListener("seeked", drawHead);
video.addEventListener("loadedmetadata", () => {
  // A picture of nearly the screen's shape fills it: no hairline of black at its edge.
  video.style.objectFit = Math.abs(video.videoWidth / video.videoHeight / (16 / 9) - 1) < 0.02 ? "cover" : "contain";
  drawTimeline();
  drawClip();
});
video.addEventListener("click", toggle);
document.addEventListener("fullscreenchange", () => { video.controls = document.fullscreenElement === video; });
video.addEventListener("volumechange", () => {
  part("mute").setAttribute("aria-pressed", String(video.muted));
  icon(part("mute"), video.muted ? "mute" : "sound");
});
video.addEventListener("error", () => {
  if (!answer()) return;
  text(part("broken"), about().broken || "This video cannot be played: its file is gone or damaged. See the Library tab.");
  part("broken").hidden = false;
});
part("speed").addEventListener("change", () => { video.playbackRate = Number(part("speed").value); });

// Timeline
const share = (seconds) => `${(100 * Math.max(0, Math.min(1, duration() ? seconds / duration() : 0))).toFixed(3)}%`;

function drawTimeline() {
  const found = answer();
  if (!found) return;
  drawFilm();
  drawCurve(state.view.relevance[found.video] ?? []);
  const flags = state.view.answers.map((other, index) => ({ other, index })).filter(({ other }) => other.video === found.video);
  part("flags").replaceChildren(...flags.map(({ other, index }) => el("button", {
    type: "button", "data-pick": index, tabindex: "-1", "aria-hidden": "true", title: `${other.time}: ${other.text}`,
    class: index === state.pick ? "ac-flag ac-flag-on" : "ac-flag",
    style: { left: share(other.start), width: share(other.end - other.start) },
  })));
  part("timeline").setAttribute("aria-valuemax", Math.round(duration()));
}

function drawFilm() {
  const { strip, pictures } = about();
  const film = part("film");
  film.replaceChildren();
  if (!strip || !pictures) return;
  const cells = Math.max(4, Math.min(pictures, Math.round(film.clientWidth / 78) || 12));
  for (let cell = 0; cell < cells; cell += 1) {
    film.append(el("i", { style: sprite(strip, pictures, (cell + 0.5) / cells) }));
  }
}

const sprite = (strip, pictures, where) => {
  const index = Math.max(0, Math.min(pictures - 1, Math.floor(where * pictures)));
  return {
    backgroundImage: `url("${address(strip)}")`,
    backgroundSize: `${100 * pictures}% 100%`,
    backgroundPosition: `${pictures > 1 ? (100 * index) / (pictures - 1) : 0}% 0`,
  };
};

function drawCurve(points) {
  const [area, line] = part("curve").querySelectorAll("path");
  const whole = duration();
  if (points.length < 2 || !whole) {
    area.setAttribute("d", "");
    line.setAttribute("d", "");
    return;
  }
  const most = Math.max(0.2, ...points.map(([, value]) => value)); // the shape matters, not the height
  const path = points.map(([second, value]) =>
    `${((1000 * second) / whole).toFixed(1)},${(97 - (92 * Math.max(0, value)) / most).toFixed(1)}`);
  line.setAttribute("d", `M${path.join("L")}`);
  const [first, last] = [points[0][0], points[points.length - 1][0]].map((second) => ((1000 * second) / whole).toFixed(1));
  area.setAttribute("d", `M${first},100L${path.join("L")}L${last},100Z`);
}

function drawClip() {
  if (!state.clip) return;
  const { start: from, end: to } = state.clip;
  styled(part("mark"), { left: share(from), width: share(to - from) });
  styled(part("film"), { "--from": share(from), "--to": share(to) });
  text(part("from"), clock(from));
  text(part("to"), clock(to));
  text(part("length"), `${Math.round(to - from)} s`);
  const changed = Math.abs(from - answer().start) > 0.05 || Math.abs(to - answer().end) > 0.05;
  part("reset").hidden = !changed;
  part("corrected").hidden = !changed;
  const query = `s=${from.toFixed(2)}&e=${to.toFixed(2)}`;
  part("srt").href = address(`video/${answer().video}/subtitles.srt?${query}`);
  part("vtt").href = address(`video/${answer().video}/subtitles.vtt?${query}`);
  part("srt").setAttribute("aria-label", "Subtitles of the clip as .srt");
  part("vtt").setAttribute("aria-label", "Subtitles of the clip as .vtt");
  markCues();
}

function drawHead() {
  const now = video.currentTime || 0;
  part("head").style.left = share(now);
  text(part("time"), `${clock(now)} / ${clock(duration())}`);
  const line = part("timeline");
  line.setAttribute("aria-valuenow", Math.round(now));
  const inside = state.clip && now >= state.clip.start && now < state.clip.end;
  line.setAttribute("aria-valuetext", `${clock(now)} of ${clock(duration())}${inside ? ", in the clip" : ""}`);
  speaking(now);
}

function trim(end, seconds) {
  if (!answer()) return;
  const whole = duration() || Infinity;
  const clip = { ...state.clip };
  clip[end] = Math.round(10 * seconds) / 10;
  clip.start = Math.max(0, Math.min(clip.start, whole - 1));
  clip.end = Math.min(whole, clip.end);
  if (clip.end - clip.start < 1) return say("A clip is at least one second long.");
  state.clip = clip;
  state.within = true;
  drawClip();
  address_bar(answer());
  say(`The clip is now ${clock(clip.start)} to ${clock(clip.end)}.`);
  if (end === "start") { seek(clip.start); start(); } else { part("ended").hidden = true; if (video.currentTime >= clip.end) seek(Math.max(clip.start, clip.end - 3)); start(); }
}

const line = part("timeline");
const secondAt = (event) => {
  const box = line.getBoundingClientRect();
  return duration() * Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
};
line.addEventListener("pointerdown", (event) => {
  if (!answer() || event.target.closest("[data-pick]") || event.button) return;
  line.setPointerCapture(event.pointerId);
  line.dataset.drag = "1";
  go(secondAt(event));
});
line.addEventListener("pointermove", (event) => {
  if (!answer()) return;
  if (line.dataset.drag) go(secondAt(event));
  preview(event);
});
const release = () => { delete line.dataset.drag; };
line.addEventListener("pointerup", release);
line.addEventListener("pointercancel", release);
line.addEventListener("pointerleave", () => { part("preview").hidden = true; });
line.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -30, PageUp: 30 };
  if (!answer() || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in steps) go(video.currentTime + steps[event.key]);
  else if (event.key === "Home") go(0);
  else if (event.key === "End") go(duration() - 1);
  else return;
  event.preventDefault();
  event.stopPropagation();
});

function preview(event) {
  const box = part("preview");
  const second = secondAt(event);
  const { strip, pictures } = about();
  const [picture, time, words] = box.children;
  picture.hidden = !strip;
  if (strip) styled(picture, sprite(strip, pictures, second / duration()));
  text(time, clock(second));
  text(words, state.cues[cueAt(second)]?.[2] ?? "");
  box.hidden = false;
  const width = line.clientWidth;
  const half = box.offsetWidth / 2;
  box.style.left = `${Math.max(half, Math.min(width - half, (second / duration()) * width))}px`;
}
new ResizeObserver(() => drawFilm()).observe(part("film"));

// Transcript
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

// Taking away, rating
async function download() {
  const button = part("clip");
  if (button.disabled || !answer()) return;
  button.disabled = true;
  say("Cutting the clip exactly; this takes a moment.");
  try {
    const reply = await fetch(address(`video/${answer().video}/clip.mp4?s=${state.clip.start.toFixed(2)}&e=${state.clip.end.toFixed(2)}`));
    if (!reply.ok) return say(await reply.text());
    const name = /filename\*=utf-8''([^;]+)/i.exec(reply.headers.get("content-disposition") ?? "")?.[1];
    const link = el("a", { href: URL.createObjectURL(await reply.blob()), download: name ? decodeURIComponent(name) : "clip.mp4" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    say("The clip is in your downloads.");
  } catch {
    say("The clip could not be fetched. See whether the app still runs, then try again.");
  } finally {
    button.disabled = false;
  }
}

async function copyLink() {
  const link = address_bar(answer());
  try {
    await navigator.clipboard.writeText(link);
    say("The link is copied: it opens this question and this clip.");
  } catch {
    const box = el("input", { value: link, readonly: true, "aria-label": "Link to this clip", class: "ac-link-box" });
    part("said").replaceChildren("Copy this link: ", box);
    box.select();
  }
}

async function rate(verdict) {
  const found = answer();
  const changed = verdict === "corrected";
  try {
    const stored = await server.feedback({
      question: state.view.question, video: found.video, start: found.start, end: found.end, verdict,
      corrected_start: changed ? state.clip.start : null, corrected_end: changed ? state.clip.end : null,
      confidence: found.confidence,
    });
    if (!stored.ok) return say(stored.message);
    part("rate").dataset.rated = verdict;
    for (const name of ["right", "wrong"]) part("rate").querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", String(name === verdict));
    say(stored.message);
  } catch {
    say("That could not be stored. See whether the app still runs, then try again.");
  }
}

function resetRating() {
  delete part("rate").dataset.rated;
  for (const name of ["right", "wrong"]) part("rate").querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", "false");
}

// Buttons and keys
const acts = {
  toggle, replay, onward, full, link: copyLink, clip: download,
  mute: () => { video.muted = !video.muted; },
  captions: () => captions(part("captions").getAttribute("aria-pressed") !== "true"),
  help: () => part("help").showModal(),
  follow: () => following(true),
  "start-earlier": () => trim("start", state.clip.start - 5),
  "start-later": () => trim("start", state.clip.start + 5),
  "start-here": () => trim("start", video.currentTime),
  "end-earlier": () => trim("end", state.clip.end - 5),
  "end-later": () => trim("end", state.clip.end + 5),
  "end-here": () => trim("end", video.currentTime),
  reset: () => { state.clip = { start: answer().start, end: answer().end }; drawClip(); replay(); say("Back to the answer as it was found."); },
  right: () => rate("right"),
  wrong: () => rate("wrong"),
  corrected: () => rate("corrected"),
  next: () => choose((state.pick + 1) % state.view.answers.length, true),
  previous: () => choose((state.pick - 1 + state.view.answers.length) % state.view.answers.length, true),
  back: () => go(video.currentTime - 5),
  forward: () => go(video.currentTime + 5),
  slower: () => speed(-1),
  faster: () => speed(1),
};
root.addEventListener("click", (event) => {
  const pick = event.target.closest("[data-pick]");
  if (pick) {
    choose(Number(pick.dataset.pick), true);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (pick.closest(".ac-cards")) root.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
    return;
  }
  const button = event.target.closest("[data-do]");
  if (button && (button.dataset.do === "help" || answer())) acts[button.dataset.do]();
});

const keys = {
  " ": "toggle", k: "toggle", ArrowLeft: "back", ArrowRight: "forward", j: "back", l: "forward", r: "replay", w: "onward",
  s: "start-earlier", S: "start-later", e: "end-later", E: "end-earlier", n: "next", p: "previous",
  "<": "slower", ">": "faster", c: "captions", m: "mute", f: "full", "?": "help",
};
part("keys-on").checked = remembered("keys", "on") === "on";
part("keys-on").addEventListener("change", () => remember("keys", part("keys-on").checked ? "on" : "off"));
const typing = (target) => target.closest?.("input, textarea, select, [contenteditable], dialog, [role=listbox], [role=combobox]");
const onKey = (event) => {
  if (!root.isConnected) return document.removeEventListener("keydown", onKey);
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const inside = root.contains(event.target);
  if (!root.offsetParent || (!inside && !part("keys-on").checked)) return;
  if (event.key === " " && event.target.closest("button, a, summary, [role=button], [role=tab]")) return;
  if (event.key.startsWith("Arrow") && event.target.closest("[role=tab], [role=tablist]")) return;
  if (event.key === "/") {
    document.querySelector("#question textarea, #question input")?.focus();
    return event.preventDefault();
  }
  const act = keys[event.key] ?? keys[event.key.toLowerCase()];
  if (!act || (!answer() && act !== "help")) return;
  event.preventDefault();
  acts[act]();
};
document.addEventListener("keydown", onKey);
// Keys work again at once after the list is closed, though nothing had the focus before it.
part("help").addEventListener("close", () => { if (part("help").contains(document.activeElement)) document.activeElement.blur(); });

window.answerclip = { busy, idle };
const update = () => { if (props.value?.kind) show(props.value); };
watch("value", update);
if (!props.value?.kind) busy(new URLSearchParams(location.search).get("q"));
update();
