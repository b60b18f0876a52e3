// What the buttons and keys do: take away, rate, steer.
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

part("rate").hidden = !server?.feedback; // a read-only library takes none

window.answerclip = { busy, idle };
const update = () => { if (props.value?.kind) show(props.value); };
watch("value", update);
if (!props.value?.kind) busy(new URLSearchParams(location.search).get("q"));
update();
