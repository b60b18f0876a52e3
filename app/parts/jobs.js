// Rows are kept and changed in place, so that a button keeps its focus while the numbers move.
const rows = new Map();

function make(job) {
  const node = el("li", { "data-job": job.id },
    el("div", { class: "ac-job-words" }, el("strong", { class: "ac-job-title" }), el("span", { class: "ac-job-stage" }), el("span", { class: "ac-job-times" })),
    el("div", { class: "ac-bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }, el("i")),
    el("p", { class: "ac-job-message" }),
    el("div", { class: "ac-job-acts" },
      el("button", { type: "button", class: "ac-small", "data-act": "cancel" }, "Cancel"),
      el("button", { type: "button", class: "ac-small", "data-act": "retry" }, "Try again"),
      el("button", { type: "button", class: "ac-small", "data-act": "dismiss" }, "Dismiss")));
  rows.set(job.id, node);
  return node;
}

function draw(job) {
  const node = rows.get(job.id) ?? make(job);
  node.dataset.status = job.status;
  text(node.querySelector(".ac-job-title"), job.title);
  text(node.querySelector(".ac-job-stage"), job.words);
  text(node.querySelector(".ac-job-times"), [job.percent, job.times].filter(Boolean).join(" · "));
  text(node.querySelector(".ac-job-message"), job.message);
  const bar = node.querySelector(".ac-bar");
  bar.hidden = job.status !== "running";
  bar.setAttribute("aria-label", `Progress of ${job.title}`);
  if (job.fraction === null) bar.removeAttribute("aria-valuenow"); else bar.setAttribute("aria-valuenow", Math.round(100 * job.fraction));
  bar.toggleAttribute("data-unknown", job.fraction === null);
  bar.firstElementChild.style.width = job.fraction === null ? "" : `${100 * job.fraction}%`;
  for (const [act, may] of [["cancel", job.can_cancel], ["retry", job.can_retry], ["dismiss", !job.can_cancel]]) {
    const button = node.querySelector(`[data-act="${act}"]`);
    button.hidden = !may || !server?.steer; // a read-only library is not steered from its page
    button.setAttribute("aria-label", `${button.textContent}: ${job.title}`);
  }
  return node;
}

function update(value) {
  if (!value?.jobs) return;
  const list = part("list");
  const kept = new Set(value.jobs.map((job) => job.id));
  for (const [id, node] of rows) if (!kept.has(id)) { node.remove(); rows.delete(id); }
  value.jobs.forEach((job, index) => {
    const node = draw(job);
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
  text(part("title"), value.title);
  part("section").hidden = !value.jobs.length;
  part("clear").hidden = !server?.steer || !value.jobs.some((job) => job.status === "done" || job.status === "already" || job.status === "cancelled");
  text(part("rest"), value.waiting ? `and ${value.waiting} more` : "");
}

element.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-act]");
  if (!button) return;
  const id = Number(button.closest("[data-job]")?.dataset.job) || null;
  const failed = button.closest('[data-status="failed"]');
  if (button.dataset.act === "dismiss" && failed) {
    const title = failed.querySelector(".ac-job-title").textContent;
    if (!window.confirm(`Forget “${title}”? If it was uploaded, the upload is deleted.`)) return;
  }
  button.disabled = true;
  try {
    const done = await server.steer({ act: button.dataset.act, id });
    text(part("said"), done.message);
    update(done);
  } catch {
    text(part("said"), "That did not get through. See whether the app still runs.");
  } finally {
    button.disabled = false;
  }
});
watch("value", () => update(props.value));
update(props.value);
