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
  ["percent", "title", "facts", "words", "notice", "note"].forEach((name) => text(part(name), ""));
  text(part("message"), "The app did not answer. See whether it still runs, then ask again.");
  announce("The question did not get through. Ask again.");
}

function show(view) {
  clearTimeout(busy.slow);
  state.view = view;
  state.pick = -1;
  state.transcripts.clear(); // they may have been written anew since
  explained.clear();
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
  text(part("notice"), view.notice);
  text(part("note"), [view.answered_by, view.note].filter(Boolean).join(" "));
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
  explain();
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
  for (const key of ["q", "v", "s", "e", "m"]) url.searchParams.delete(key);
  if (state.view.question) url.searchParams.set("q", state.view.question);
  if (state.view.method) url.searchParams.set("m", state.view.method);
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
