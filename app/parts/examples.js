// Questions to click or, while there is nothing to be asked, what to do instead.
const update = () => {
  const { questions = [], words = "", add = false } = props.value ?? {};
  const chips = questions.map(({ question, picture }) => el("button", { type: "button", class: "ac-example", "data-question": question },
    picture && el("img", { src: address(picture), alt: "", width: 320, height: 180, decoding: "async", onerror: (event) => event.target.remove() }),
    el("span", {}, question)));
  const hint = words && el("p", { class: "ac-hint" }, words, " ", add && el("button", { type: "button", class: "ac-plain", "data-add": true }, "Add videos"));
  part("box").replaceChildren(...[...chips, hint].filter(Boolean));
};
element.addEventListener("click", (event) => {
  if (event.target.closest("[data-add]")) return document.querySelector('#tabs [role="tab"]:last-of-type')?.click();
  const chosen = event.target.closest("[data-question]");
  if (!chosen) return;
  window.answerclip?.busy(chosen.dataset.question);
  trigger("ask", { question: chosen.dataset.question });
});
watch("value", update);
update();
