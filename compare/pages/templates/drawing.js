// What both kinds of pictures share: SVG elements, colours of numbers, marks, the arrow keys.

/** Make an SVG element. Text is always text: nothing of the data is ever read as markup. */
function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Make an HTML element. */
function html(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function replaced(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Cut what is too long for its place; the whole of it is in a title beside it. */
function shortened(text, most) {
  const letters = [...text];
  return letters.length > most ? `${letters.slice(0, Math.max(1, most - 1)).join("")}…` : text;
}

/** Give the colour of a number between −largest and largest: paper at 0, fuller further off. */
function colourOf(value, largest) {
  const x = real(value);
  if (!Number.isFinite(x)) return "var(--warn-fill)";
  const share = largest > 0 ? Math.round(100 * Math.min(1, Math.abs(x) / largest)) : 0;
  return `color-mix(in srgb, var(${x < 0 ? "--minus" : "--plus"}-fill) ${share}%, var(--paper))`;
}

/** Give the largest size of some numbers; what isn't finite doesn't count. */
function largestOf(values) {
  return values.map((x) => Math.abs(real(x))).filter(Number.isFinite).reduce((a, b) => Math.max(a, b), 0);
}

/** Draw a check or a cross about a point. */
function markOf(wrong, x, y, size) {
  const [a, b] = [size * 0.5, size];
  return wrong
    ? `M${x - b} ${y - b} L${x + b} ${y + b} M${x + b} ${y - b} L${x - b} ${y + b}`
    : `M${x - b} ${y} L${x - a * 0.4} ${y + b * 0.8} L${x + b} ${y - b * 0.8}`;
}

/** Give a word the place of a label: what is first wrong has it in every colouring. */
function flag(x, y, text, scale) {
  const size = 12 * scale;
  const wide = text.length * size * 0.56 + size;
  return svg(
    "g",
    { class: "flag", "text-anchor": "middle", "aria-hidden": "true" },
    svg("rect", { x: x - wide / 2, y: y - size, width: wide, height: size * 1.6, rx: size * 0.3 }),
    svg("text", { x, y: y + size * 0.15, "font-size": size }, text),
  );
}

/** Say where the first wrong number is, for as long as another step is shown. */
function flagText(story, frame) {
  return frame.step === story.first.step ? "first wrong" : `first wrong: step ${story.first.step}`;
}

/** Let arrow keys walk from a thing to its nearest neighbour in that direction. */
function neighbour(items, from, key) {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  let best = null;
  let least = Infinity;
  for (const one of items) {
    const along = (one.x - from.x) * dx + (one.y - from.y) * dy;
    const aside = Math.abs((one.x - from.x) * dy) + Math.abs((one.y - from.y) * dx);
    if (one === from || along < 1) continue;
    const cost = along + 2 * aside;
    if (cost < least) [best, least] = [one, cost];
  }
  return best;
}
