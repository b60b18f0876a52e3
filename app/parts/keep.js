const update = () => {
  const kept = props.value ?? {};
  part("box").dataset.state = kept.state ?? "idle";
  const percent = kept.fraction === null || kept.fraction === undefined ? null : Math.round(100 * kept.fraction);
  text(part("words"), kept.state === "busy" && percent !== null ? `${kept.words}: ${percent} %` : kept.words);
  part("bar").hidden = kept.state !== "busy";
  part("bar").setAttribute("aria-valuenow", percent ?? 0);
  part("bar").firstElementChild.style.width = `${percent ?? 0}%`;
  part("link").hidden = !kept.link;
  if (kept.link) part("link").href = address(kept.link);
  text(part("link"), kept.name);
};
watch("value", update);
update();
