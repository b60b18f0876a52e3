// The list asks the server for its rows, a page at a time, and again whenever the library's revision changes.
const PAGE = 40;
let limit = PAGE;
let rows = new Map();
let asked = 0;

async function refresh() {
  const mine = ++asked;
  let found;
  try {
    found = await server.listing({
      search: part("search").value, tag: part("tag").value, language: part("language").value, order: part("order").value, limit,
    });
  } catch {
    if (mine === asked) text(part("said"), "The list could not be fetched. See whether the app still runs.");
    return;
  }
  if (mine !== asked) return;
  draw(found);
}

function options(name, values) {
  const list = part(name);
  const now = list.value;
  list.replaceChildren(el("option", { value: "" }, "any"), ...values.map(([value, words]) => el("option", { value }, words)));
  list.value = values.some(([value]) => value === now) ? now : "";
  list.closest("label").hidden = !values.length;
}

function draw(found) {
  const focus = element.contains(document.activeElement) && document.activeElement.dataset.act;
  const at = focus && document.activeElement.closest("[data-video]")?.dataset.video;
  rows = new Map(found.videos.map((video) => [video.id, video]));
  options("tag", found.tags);
  options("language", found.languages);
  text(part("use"), found.use);
  part("list").replaceChildren(...found.videos.map(card));
  part("more").hidden = found.total <= found.videos.length;
  const sifted = part("search").value || part("tag").value || part("language").value;
  part("empty").hidden = found.videos.length > 0;
  text(part("empty-title"), sifted ? "Nothing fits" : "No videos yet");
  const adding = server.edit ? "Drop files above, or add a folder or a link. Their words are made searchable, and they appear here." : "";
  text(part("empty-words"), sifted ? "Take a filter away or search for less." : adding);
  if (at) part("list").querySelector(`[data-video="${at}"] [data-act="${focus}"]`)?.focus();
}

function card(video) {
  const picture = video.picture && el("img", { src: address(video.picture), alt: "", loading: "lazy", width: 160, height: 90, onerror: (event) => event.target.remove() });
  const facts = [video.language, video.origin, video.size, video.added && `added ${video.added}`].filter(Boolean);
  const subtitles = video.subtitled ? [
    el("a", { class: "ac-small", href: address(`video/${video.id}/subtitles.srt`), download: true, "aria-label": `Subtitles of ${video.title} as .srt` }, ".srt"),
    el("a", { class: "ac-small", href: address(`video/${video.id}/subtitles.vtt`), download: true, "aria-label": `Subtitles of ${video.title} as .vtt` }, ".vtt")] : [];
  const act = (name, words) => server[name] && el("button", { type: "button", class: "ac-small", "data-act": name, "aria-label": `${words}: ${video.title}` }, words);
  return el("li", { "data-video": video.id, "data-state": video.state },
    el("span", { class: "ac-row-picture" }, picture || null, el("span", { class: "ac-stamp" }, video.duration)),
    el("div", { class: "ac-row-words" },
      el("h3", {}, video.title),
      el("p", { class: "ac-facts" }, video.state === "ready" ? null : el("span", { class: "ac-state" }, video.state_words), ...facts.map((fact) => el("span", {}, fact))),
      video.tags.length ? el("p", { class: "ac-tags" }, ...video.tags.map((tag) => el("button", { type: "button", "data-tag": tag, title: `Show only ${tag}` }, tag))) : null,
      notice(video.notice)),
    el("div", { class: "ac-row-acts" }, act("edit", "Edit"), act("retranscribe", "Re-transcribe"), ...subtitles, act("remove", "Delete")));
}

// A long notice shows its first sentence; the rest, what to do, opens below it.
function notice(words) {
  if (!words) return null;
  const first = words.length > 160 ? words.search(/[.!?] /) + 1 : 0;
  if (!first) return el("p", { class: "ac-notice" }, words);
  return el("details", { class: "ac-notice" }, el("summary", {}, words.slice(0, first)), words.slice(first + 1));
}

async function change(call, wait) {
  text(part("said"), wait);
  try {
    const done = await call();
    text(part("said"), done.message);
  } catch {
    text(part("said"), "That did not get through. See whether the app still runs.");
  }
  return refresh();
}

const ask = (dialog) => new Promise((resolve) => {
  dialog.returnValue = "no";
  dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  dialog.showModal();
});

const acts = {
  async edit(video) {
    part("edit-name").value = video.title;
    part("edit-tags").value = video.tags.join(", ");
    if (!(await ask(part("edit")))) return;
    const tags = part("edit-tags").value.split(",").map((tag) => tag.trim()).filter(Boolean);
    await change(() => server.edit({ id: video.id, title: part("edit-name").value, tags }), "Storing");
  },
  async remove(video) {
    text(part("confirm-title"), `Delete “${video.title}”?`);
    text(part("confirm-words"), video.owned
      ? "The video, its words and everything made from it leave the library for good."
      : "It leaves the library with its words. The file itself stays where it is.");
    if (!(await ask(part("confirm")))) return;
    await change(() => server.remove({ id: video.id }), "Deleting");
    part("search").focus();
  },
  retranscribe: (video) => change(() => server.retranscribe({ id: video.id }), "Handing it over"),
};

element.addEventListener("click", (event) => {
  const tag = event.target.closest("[data-tag]");
  if (tag) {
    part("tag").value = tag.dataset.tag;
    limit = PAGE;
    return refresh();
  }
  const button = event.target.closest("[data-act]");
  const video = button && rows.get(button.closest("[data-video]")?.dataset.video);
  if (video) acts[button.dataset.act](video);
});
part("edit-no").addEventListener("click", () => part("edit").close("no")); // no submit button: Enter stores
let typing;
part("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => { limit = PAGE; refresh(); }, 180); });
for (const name of ["tag", "language", "order"]) part(name).addEventListener("change", () => { limit = PAGE; refresh(); });
part("more").addEventListener("click", () => { limit += PAGE; refresh(); });
watch("value", refresh);
refresh();
