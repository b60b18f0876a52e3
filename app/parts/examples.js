const update = () => {
  const questions = props.value ?? [];
  part("box").replaceChildren(...(questions.length ? [el("span", { class: "ac-examples-word" }, "Try")] : []),
    ...questions.map((question) => el("button", { type: "button", class: "ac-example", "data-question": question }, question)));
};
element.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-question]");
  if (!chosen) return;
  window.answerclip?.busy(chosen.dataset.question);
  trigger("ask", { question: chosen.dataset.question });
});
watch("value", update);
update();
