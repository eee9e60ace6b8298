// A larger network: a box for each layer, and arrows along what each takes.

class Boxes {
  constructor(story, width, height, scale) {
    Object.assign(this, { story, width, height, scale });
    this.upright = width < 560 * scale;
    this.items = new Map();
    this.edges = [];
    this.layers = { edges: svg("g"), boxes: svg("g") };
    this.layOut();
    for (const block of story.blocks) this.drawBox(block);
    for (const block of story.blocks) block.inputs.forEach((name) => this.drawEdge(name, block));
    this.root = svg("g", {}, ...Object.values(this.layers));
  }

  layOut() {
    const { blocks } = this.story;
    const { scale, upright } = this;
    const deep = Math.max(...blocks.map((block) => block.column)) + 1;
    const broad = Math.max(...blocks.map((block) => block.row)) + 1;
    const [along, across] = upright ? [this.height, this.width] : [this.width, this.height];
    const least = upright ? [112, 160] : [132, 112];
    this.pitch = {
      along: Math.max(least[0] * scale, Math.min((upright ? 150 : 260) * scale, along / deep)),
      across: Math.max(least[1] * scale, Math.min(240 * scale, across / broad)),
    };
    const [length, breadth] = [this.pitch.along * deep, this.pitch.across * broad];
    this.size = upright
      ? { width: Math.max(breadth, this.width), height: Math.max(length, this.height) }
      : { width: Math.max(length, this.width), height: Math.max(breadth, this.height) };
    this.start = Math.max(0, (along - length) / 2);
    this.middle = Math.max(breadth, across) / 2;
    this.box = upright
      ? { width: Math.min(260 * scale, this.pitch.across - 16 * scale), height: this.pitch.along - 32 * scale }
      : { width: this.pitch.along - 34 * scale, height: Math.min(190 * scale, this.pitch.across - 30 * scale) };
  }

  centre(block) {
    const inColumn = this.story.blocks.filter((one) => one.column === block.column).length;
    const along = this.start + (block.column + 0.5) * this.pitch.along;
    const across = this.middle + (block.row - (inColumn - 1) / 2) * this.pitch.across;
    return this.upright ? { x: across, y: along } : { x: along, y: across };
  }

  drawBox(block) {
    const { scale } = this;
    const { x, y } = this.centre(block);
    const { width, height } = this.box;
    const [left, top] = [x - width / 2, y - height / 2];
    const room = Math.floor((width - 16 * scale) / (8 * scale));
    const shape = svg("rect", { class: "shape", x: left, y: top, width, height, rx: 8 * scale });
    const mark = svg("path", { class: "mark" });
    const low = height < 130 * scale && block !== this.story.loss; // there, it stands beside its colour
    const place = { x: left + (low ? 36 : 10) * scale, y: top + Math.min(height - 13 * scale, 116 * scale) };
    const value = svg("text", { class: "value", ...place, "font-size": 11.5 * scale });
    const cells = svg("g", { class: "cells" });
    const text = (dy, name, size, told) =>
      svg("text", { class: name, x: left + 10 * scale, y: top + dy * scale, "font-size": size * scale }, told);
    const element = svg(
      "g",
      { role: "button", class: "item block" },
      svg("title", {}, `${block.name}: ${block.kind}`),
      shape,
      text(20, "name", 14, shortened(block.name, room)),
      text(36, "kind", 11.5, shortened(block.kind, Math.floor((width - 20 * scale) / (6.2 * scale)))),
      text(50, "kind", 11.5, block.shape.length ? block.shape.join(" × ") : ""),
      cells,
      value,
      mark,
    );
    const key = `block:${block.name}`;
    element.dataset.key = key;
    const box = { x: left, y: top, width, height };
    this.items.set(key, { kind: "block", block, key, element, shape, mark, value, cells, box, x, y });
    this.layers.boxes.append(element);
  }

  drawEdge(name, block) {
    const source = this.story.blocks.find((one) => one.name === name);
    const [a, b] = [this.centre(source), this.centre(block)];
    const half = (this.upright ? this.box.height : this.box.width) / 2;
    const far = block.column - source.column > 1;
    const bend = far && (this.upright ? a.x === b.x : a.y === b.y);
    const aside = bend ? (this.upright ? this.box.width : this.box.height) / 2 + 14 * this.scale : 0;
    const [from, to] = this.upright
      ? [{ x: a.x, y: a.y + half }, { x: b.x, y: b.y - half }]
      : [{ x: a.x + half, y: a.y }, { x: b.x - half, y: b.y }];
    const path = svg("path", { class: "arrow always", d: bend ? this.around(from, to, aside) : this.straight(from, to) });
    this.layers.edges.append(path);
    this.edges.push({ from: source, to: block, path });
  }

  straight(from, to) {
    if (this.upright) {
      const bend = (to.y - from.y) / 2;
      return `M${from.x} ${from.y} C${from.x} ${from.y + bend} ${to.x} ${to.y - bend} ${to.x} ${to.y}`;
    }
    const bend = (to.x - from.x) / 2;
    return `M${from.x} ${from.y} C${from.x + bend} ${from.y} ${to.x - bend} ${to.y} ${to.x} ${to.y}`;
  }

  /** Lead a shortcut past the boxes that it skips. */
  around(from, to, aside) {
    const turn = 14 * this.scale;
    if (this.upright) {
      const lane = from.x - aside;
      return `M${from.x} ${from.y} C${from.x} ${from.y + turn} ${lane} ${from.y} ${lane} ${from.y + 2 * turn} L${lane} ${to.y - 2 * turn} C${lane} ${to.y} ${to.x} ${to.y - turn} ${to.x} ${to.y}`;
    }
    const lane = from.y - aside;
    return `M${from.x} ${from.y} C${from.x + turn} ${from.y} ${from.x} ${lane} ${from.x + 2 * turn} ${lane} L${to.x - 2 * turn} ${lane} C${to.x} ${lane} ${to.x - turn} ${to.y} ${to.x} ${to.y}`;
  }
}

class BoxPainter {
  constructor(story, network) {
    Object.assign(this, { story, network });
    this.ring = svg("path", { class: "ring" });
    network.root.append(this.ring);
  }

  paint(view) {
    const { story, network } = this;
    const frame = story.frames[view.frame];
    const stage = story.stages[view.stage];
    const shown = new Map();
    for (const item of network.items.values()) shown.set(item, this.shown(item, frame, view));
    const scaled = [...shown].filter(([item]) => item.block !== story.loss);
    const values = scaled.flatMap(([, found]) => (found ? found.values : []));
    const largest = { unit: largestOf(values), weight: 0 };
    for (const [item, found] of shown) {
      this.paintBox(item, found, frame, view, largest.unit);
      item.element.classList.toggle("current", item.block === stage.block || stage.kind === "update");
    }
    for (const edge of network.edges) {
      const here = ["forward", "loss", "backward"].includes(stage.kind) && edge.to === stage.block;
      edge.path.classList.toggle("ahead", here && stage.kind !== "backward");
      edge.path.classList.toggle("back", here && stage.kind === "backward");
    }
    this.paintFirst(frame);
    return largest;
  }

  /** Give the numbers of a box: all of one sample where they are kept, else the one furthest off. */
  shown(item, frame, view) {
    const { story } = this;
    const { block } = item;
    const gradient = view.mode === "gradient";
    const phase = gradient ? "activation gradient" : "activation";
    let wanted = block.nodes.toReversed().map((node) => [phase, node]);
    if (block === story.loss) wanted = gradient ? [] : [["loss", "total"]];
    else if (block.kind === "input" && !gradient) wanted = [["input", story.inputNames()[story.inputs.indexOf(block)]]];
    for (const [what, name] of wanted) {
      const numbers = story.quantity(frame, what, name);
      if (!numbers || story.known(what, name) > view.stage) continue;
      const all = what === "loss" ? null : numbers.all_of_keras?.[view.sample];
      if (Array.isArray(all)) return { values: all.flat(Infinity), whole: true };
      return { values: [numbers.keras], whole: false };
    }
    return null;
  }

  paintBox(item, found, frame, view, largest) {
    const verdict = this.story.wrong(frame, item, view.sample, view.stage);
    const judging = view.mode === "verdict";
    const { element, box } = item;
    const { scale } = this.network;
    element.classList.toggle("later", judging ? verdict === null : found === null);
    element.classList.toggle("differs", verdict === true);
    element.classList.toggle("agrees", judging && verdict === false);
    const size = 8 * scale;
    const drawn = verdict === true || (judging && verdict === false);
    item.mark.setAttribute("d", drawn ? markOf(verdict, box.x + box.width - 16 * scale, box.y + box.height - 16 * scale, size) : "");
    const cells = found && !judging && item.block !== this.story.loss ? this.cells(found.values, box, largest) : [];
    item.cells.replaceChildren(...cells);
    let text = "";
    if (judging && verdict !== null) text = verdict ? "differs" : "agrees";
    else if (!judging && found && !found.whole) text = brief(found.values[0]);
    item.value.textContent = text;
    const judged = verdict === null ? "" : verdict ? ", differs" : ", agrees";
    replaced(element, "aria-label", `${item.block.name}, ${item.block.kind}${judged}${item === this.firstItem() ? ", first wrong" : ""}`);
  }

  cells(values, box, largest) {
    const { scale } = this.network;
    const [top, wide] = [58 * scale, box.width - 20 * scale];
    const high = Math.max(10 * scale, box.height - top - 10 * scale);
    let columns = Math.ceil(Math.sqrt((values.length * wide) / high));
    columns = Math.min(values.length, columns);
    const rows = Math.ceil(values.length / columns);
    const side = Math.min(40 * scale, wide / columns, high / rows);
    return values.map((value, i) => {
      const x = box.x + 10 * scale + (i % columns) * side;
      const y = box.y + top + Math.floor(i / columns) * side;
      const cell = svg("g", {}, svg("rect", { x, y, width: side * 0.9, height: side * 0.9 }));
      cell.firstChild.style.fill = colourOf(value, largest);
      const roomy = side >= 32 * scale && values.length > 1;
      if (roomy || (side >= 11 * scale && real(value) < 0)) {
        const size = roomy ? 10 * scale : Math.min(side * 0.7, 14 * scale);
        const middle = { x: x + side * 0.45, y: y + side * 0.45, dy: "0.35em", "font-size": size };
        cell.append(svg("text", { "text-anchor": "middle", ...middle }, roomy ? brief(value, 2) : "−"));
      }
      return cell;
    });
  }

  firstItem() {
    const { first } = this.story;
    const owner = first ? this.story.owner(first.phase, first.name) : null;
    return owner ? this.network.items.get(`block:${owner.name}`) : undefined;
  }

  paintFirst(frame) {
    const item = this.firstItem();
    if (!item) return;
    const { scale } = this.network;
    const { x, y, width, height } = item.box;
    const off = 5 * scale;
    item.element.classList.add("first-wrong");
    this.ring.setAttribute("d", `M${x - off} ${y - off} h${width + 2 * off} v${height + 2 * off} h${-width - 2 * off} z`);
    this.flag?.remove();
    this.flag = flag(x + width / 2, y - 9 * scale, flagText(this.story, frame), scale);
    this.network.root.append(this.flag);
  }
}
