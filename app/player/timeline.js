// The timeline: film, relevance, the clip and the other answers on it; its ends can be moved.
const share = (seconds) => `${(100 * Math.max(0, Math.min(1, duration() ? seconds / duration() : 0))).toFixed(3)}%`;

function drawTimeline() {
  const found = answer();
  if (!found) return;
  drawFilm();
  drawCurve(part("curve"), state.view.relevance[found.video] ?? []);
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

// The shape matters, not the height, but for curves that share their highest value.
function drawCurve(curve, points, most = Math.max(0.2, ...points.map(([, value]) => value))) {
  const [area, line] = curve.querySelectorAll("path");
  const whole = duration();
  if (points.length < 2 || !whole) {
    area.setAttribute("d", "");
    line.setAttribute("d", "");
    return;
  }
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
  for (const place of ["film", "lanes"]) styled(part(place), { "--from": share(from), "--to": share(to) });
  text(part("from"), clock(from));
  text(part("to"), clock(to));
  text(part("length"), `${Math.round(to - from)} s`);
  const changed = Math.abs(from - answer().start) > 0.05 || Math.abs(to - answer().end) > 0.05;
  part("reset").hidden = !changed;
  part("corrected").hidden = !changed || part("rate").hidden;
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
  styled(part("lanes"), { "--head": share(now) });
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
// Which end of the clip lies under the pointer: it can be dragged, anything else is gone to.
const GRIP = { mouse: 6, pen: 8, touch: 14 };
function grip(event) {
  const box = line.getBoundingClientRect();
  if (!duration() || event.clientY < box.top + 12) return "";
  const far = ["start", "end"].map((end) => Math.abs(event.clientX - box.left - (state.clip[end] / duration()) * box.width));
  const nearer = far[0] <= far[1] ? 0 : 1;
  return far[nearer] <= (GRIP[event.pointerType] ?? 6) ? ["start", "end"][nearer] : "";
}
line.addEventListener("pointerdown", (event) => {
  if (!answer() || event.target.closest("[data-pick]") || event.button) return;
  line.setPointerCapture(event.pointerId);
  line.dataset.drag = grip(event) || "head";
  if (line.dataset.drag === "head") go(secondAt(event));
});
line.addEventListener("pointermove", (event) => {
  if (!answer()) return;
  const end = line.dataset.drag;
  if (end === "head") go(secondAt(event));
  else if (end) pull(end, secondAt(event));
  line.dataset.grip = end ? (end === "head" ? "" : end) : grip(event);
  preview(event);
});
function pull(end, second) {
  const { start: from, end: to } = state.clip;
  state.clip = end === "start" ? { start: Math.min(second, to - 1), end: to } : { start: from, end: Math.max(second, from + 1) };
  video.pause();
  video.currentTime = state.clip[end];
  drawClip();
}
const release = () => {
  const end = line.dataset.drag;
  delete line.dataset.drag;
  if (end && end !== "head") trim(end, state.clip[end]);
};
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
