// Text below a root whose contrast with what lies under it is lower than 4.5 to 1 (WCAG 2 AA).
(root) => {
  const luminance = (colour) => {
    const [r, g, b] = colour.map((value) => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (css) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [[r, g, b], a / 255];
  };
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const [colour, alpha] = parse(getComputedStyle(at).backgroundColor);
      if (alpha > 0) layers.push([colour, alpha]);
      if (alpha === 1) break;
    }
    return layers.reverse().reduce((base, [colour, alpha]) => colour.map((v, i) => v * alpha + base[i] * (1 - alpha)), [255, 255, 255]);
  };
  const over = ".ac-sr, .ac-screen, .ac-picture, .ac-row-picture, svg, option, [disabled]";
  const faint = [];
  for (const element of document.querySelector(root).querySelectorAll("*")) {
    if (!element.checkVisibility({ opacityProperty: true }) || element.closest(over)) continue;
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    const [ink, alpha] = parse(getComputedStyle(element).color);
    if (alpha === 0) continue;
    const [a, b] = [luminance(ink), luminance(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${element.tagName}.${element.className}: ${element.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return faint;
}
