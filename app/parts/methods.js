// The methods to choose from. The choice goes to the server as `chosen` in this part's value; it is kept in the
// browser and, for methods other than the default, stands in the address of an answer (`m`).
const list = part("list");
const rows = () => props.value?.methods ?? [];
const usable = (name) => rows().some((row) => row.name === name && !row.commands.length);

function choose(name) {
  const taken = usable(name) ? name : props.value.default;
  props.value = { ...props.value, chosen: taken };
  text(part("name"), rows().find((row) => row.name === taken)?.label);
  for (const radio of list.querySelectorAll("input")) radio.checked = radio.value === taken;
}

// A command breaks between its words only, not at the dashes of an option.
const words = (command) => command.split(" ").flatMap((word, at) => [at && " ", el("span", {}, word)]).slice(1);

function how(row) {
  const lines = row.commands.map((command) => el("code", {}, ...words(command)));
  return el("span", { class: "ac-choice-how" }, "Not trained yet. Train it with", ...lines);
}

function draw() {
  const ways = rows().map((row) => el("label", { class: "ac-choice", "data-off": row.commands.length > 0 },
    el("input", { type: "radio", name: "ac-method", value: row.name, disabled: row.commands.length > 0 }),
    el("span", { class: "ac-choice-name" }, row.label),
    el("span", { class: "ac-choice-why" }, row.blurb),
    row.commands.length > 0 && how(row)));
  list.replaceChildren(...ways);
  text(part("hint"), props.value?.hint);
}

list.addEventListener("change", (event) => {
  choose(event.target.value);
  remember("method", event.target.value === props.value.default ? "" : event.target.value);
});

// What can be chosen may have changed since the page was opened: a training may have ended.
part("fold").addEventListener("toggle", async () => {
  if (!part("fold").open || !server?.methods) return;
  try {
    const now = await server.methods({});
    if (!now.methods || JSON.stringify(now.methods) === JSON.stringify(rows())) return;
    props.value = { ...now, chosen: props.value.chosen };
    draw();
    choose(props.value.chosen);
  } catch { /* the app may be gone: the next question will say so */ }
});

draw();
choose(new URLSearchParams(location.search).get("m") || remembered("method", ""));
