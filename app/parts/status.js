const update = () => {
  const line = part("line");
  line.dataset.state = props.value?.state ?? "ready";
  text(line, props.value?.words);
};
watch("value", update);
update();
