// Uploads go to Gradio's own upload address, with their progress; what arrived is handed to the library by name.
const offer = props.value ?? {};
let token = "";

part("files").setAttribute("accept", ["video/*", ...(offer.endings ?? [])].join(","));
part("link-form").hidden = !offer.links;
part("folder-form").hidden = !offer.folder;
for (const [code, name] of offer.languages ?? []) part("language").append(el("option", { value: code }, name));
part("help").replaceChildren(...(offer.help ?? []).map((line) => el("li", {}, line)));

const options = () => ({ tags: part("tags").value, language: part("language").value });
function say(words, failed = false) {
  text(part("said"), words);
  part("said").dataset.state = failed ? "failed" : "ready";
}

async function hand(call, waiting) {
  say(waiting);
  try {
    const done = await call();
    say(done.message, !done.ok);
    return done;
  } catch {
    say("That did not get through. See whether the app still runs, then try again.", true);
    return { ok: false };
  }
}

function send(file, onProgress) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("files", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", address(`${(window.gradio_config?.api_prefix ?? "/gradio_api").replace(/^\//, "")}/upload`));
    request.upload.onprogress = (event) => { if (event.lengthComputable) onProgress(event.loaded / event.total); };
    request.onload = () => {
      if (request.status === 413) return reject(new Error(`${file.name} is larger than this library takes.`));
      if (request.status !== 200) return reject(new Error(`${file.name} did not arrive.`));
      resolve({ path: JSON.parse(request.responseText)[0], name: file.name });
    };
    request.onerror = () => reject(new Error(`${file.name} did not arrive: the connection broke off.`));
    request.send(form);
  });
}

async function uploads(files) {
  const bar = part("bar");
  if (!files.length || !bar.hidden) return;
  const big = [...files].find((file) => file.size > offer.most_bytes);
  if (big) return say(`${big.name} is larger than this library takes (${Math.round(offer.most_bytes / 1e9)} GB).`, true);
  const total = [...files].reduce((sum, file) => sum + file.size, 0) || 1;
  const arrived = [];
  let before = 0;
  bar.hidden = false;
  try {
    for (const [index, file] of [...files].entries()) {
      arrived.push(await send(file, (share) => {
        const all = Math.round((100 * (before + share * file.size)) / total);
        bar.firstElementChild.style.width = `${all}%`;
        say(files.length > 1 ? `Uploading ${index + 1} of ${files.length}: ${all} %` : `Uploading: ${all} %`);
      }));
      before += file.size;
    }
    await hand(() => server.uploads({ files: arrived, ...options() }), "Handing over to the library");
  } catch (error) {
    say(error.message, true);
  } finally {
    bar.hidden = true;
    bar.firstElementChild.style.width = "0";
    part("files").value = "";
  }
}

const drop = part("drop");
part("files").addEventListener("change", () => uploads(part("files").files));
for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.dataset.over = "1"; });
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => { delete drop.dataset.over; });
drop.addEventListener("drop", (event) => { event.preventDefault(); uploads(event.dataTransfer.files); });

part("folder-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const done = await hand(() => server.folder({ path: part("folder").value, ...options() }), "Looking into the folder");
  if (done.ok) part("folder").value = "";
});
part("link-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  closePlaylist();
  const done = await hand(() => server.link({ url: part("link").value, ...options() }), "Looking at the link; this can take some seconds");
  if (done.items) openPlaylist(done);
  else if (done.ok) part("link").value = "";
});

function openPlaylist(found) {
  token = found.token;
  const free = found.items.filter((item) => !item.refused).length;
  text(part("playlist-title"), `A playlist with ${found.items.length} videos`);
  part("items").replaceChildren(...found.items.map((item) => el("li", {}, el("label", {},
    el("input", { type: "checkbox", value: item.number, checked: !item.refused, disabled: Boolean(item.refused) }),
    el("span", {}, item.title), item.duration ? el("time", {}, item.duration) : null,
    item.refused ? el("em", {}, item.refused) : null))));
  say(`${free} of these videos can be added. Tick those you want.`);
  part("playlist").hidden = false;
  part("items").querySelector("input:not([disabled])")?.focus();
}

function closePlaylist() {
  part("playlist").hidden = true;
  part("items").replaceChildren();
}
part("leave").addEventListener("click", () => { closePlaylist(); say(""); part("link").focus(); });
part("take").addEventListener("click", async () => {
  const numbers = [...part("items").querySelectorAll("input:checked")].map((box) => Number(box.value));
  const done = await hand(() => server.pick({ token, numbers, ...options() }), "Handing over to the library");
  if (!done.ok) return;
  closePlaylist();
  part("link").value = "";
});
element.addEventListener("click", (event) => {
  const all = event.target.closest("[data-all]");
  if (all) for (const box of part("items").querySelectorAll("input:not([disabled])")) box.checked = all.dataset.all === "1";
});
