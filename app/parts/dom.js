// Small DOM helpers, put before every part's script. Text is only ever set as text: nothing that comes from a
// library (titles, cues, file names, tags) is parsed as markup.
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const styled = (node, styles) => {
  for (const [name, value] of Object.entries(styles)) {
    if (name.startsWith("--")) node.style.setProperty(name, value);
    else node.style[name] = value;
  }
};
const el = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "style") styled(node, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return node;
};
const text = (node, words) => {
  const value = words === undefined || words === null ? "" : String(words);
  if (node.textContent !== value) node.textContent = value;
  return node;
};
const address = (path) => new URL(path, document.baseURI).href;
const remembered = (key, fallback) => {
  try { return localStorage.getItem(`answerclip.${key}`) ?? fallback; } catch { return fallback; }
};
const remember = (key, value) => {
  try { localStorage.setItem(`answerclip.${key}`, value); } catch { /* private windows: nothing is kept */ }
};
