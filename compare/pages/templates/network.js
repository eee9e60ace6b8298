// A small network: units as circles, weights as lines between them.

/** Say whether a line is too steep for its label to be read along it. */
function steep(dx, dy) {
  return Math.abs(dy) > Math.abs(dx) * 1.4;
}

class Network {
  constructor(story, width, height, scale) {
    Object.assign(this, { story, width, height, scale });
    this.upright = width < 560 * scale; // a narrow picture goes from top to bottom
    this.items = new Map();
    this.columns = Math.max(...story.blocks.map((block) => block.column)) + 1;
    this.layers = { lens: svg("g"), edges: svg("g"), units: svg("g"), marks: svg("g") };
    this.edges = [];
    this.places = new Map(); // of each block: where its units are
    this.layOut();
    for (const block of story.blocks) this.drawBlock(block);
    for (const block of story.blocks) this.drawEdges(block);
    this.root = svg("g", { "text-anchor": "middle" }, ...Object.values(this.layers));
  }

  unitsOf(block) {
    return block === this.story.loss ? [[]] : indices(block.shape);
  }

  layOut() {
    const { upright, scale } = this;
    const [along, across] = upright ? [this.height, this.width] : [this.width, this.height];
    const [head, foot] = upright ? [98, 26] : [62, 44];
    this.gap = Math.max(along / this.columns, (upright ? 112 : 96) * scale);
    const inColumn = Array.from({ length: this.columns }, (_, column) =>
      this.story.blocks.filter((block) => block.column === column),
    );
    const between = (upright ? 24 : 84) * scale; // blocks that share a column
    const unitsIn = (blocks) => blocks.reduce((sum, block) => sum + this.unitsOf(block).length, 0);
    const free = across - (head + foot) * scale;
    const pitches = inColumn.map((blocks) => (free - (blocks.length - 1) * between) / unitsIn(blocks));
    this.space = Math.max(10 * scale, Math.min(140 * scale, ...pitches));
    this.radius = Math.min(34 * scale, Math.max(6, this.space * 0.36), this.gap * 0.26);
    inColumn.forEach((blocks, column) => {
      const main = (column + 0.5) * this.gap;
      const length = unitsIn(blocks) * this.space + (blocks.length - 1) * between;
      let cross = head * scale + (free - length) / 2;
      for (const block of blocks) {
        const units = this.unitsOf(block).map(() => {
          const middle = cross + this.space / 2;
          cross += this.space;
          return upright ? { x: middle, y: main } : { x: main, y: middle };
        });
        this.places.set(block.name, units);
        cross += between;
      }
    });
    this.reach = this.gap * this.columns;
  }

  get size() {
    return this.upright
      ? { width: this.width, height: Math.max(this.height, this.reach) }
      : { width: Math.max(this.width, this.reach), height: this.height };
  }

  centre(block) {
    const units = this.places.get(block.name);
    return { x: (units[0].x + units.at(-1).x) / 2, y: (units[0].y + units.at(-1).y) / 2 };
  }

  add(item, element, x, y) {
    element.setAttribute("class", `item ${item.kind}`);
    element.dataset.key = item.key;
    this.items.set(item.key, { ...item, element, x, y });
    return element;
  }

  drawBlock(block) {
    const { scale, upright } = this;
    const middle = this.centre(block);
    const units = this.places.get(block.name);
    const alone = this.story.blocks.filter((one) => one.column === block.column).length === 1;
    const box = this.boxOf(block, alone);
    const lens = svg("rect", { class: "lens", rx: 10 * scale, ...box });
    this.layers.lens.append(lens);
    const aside = upright && alone; // its name stands in the margin
    const room = Math.floor((aside ? 98 * scale : box.width * 0.97) / (8.2 * scale));
    const at = aside
      ? { x: box.x + 6 * scale, y: middle.y - 6 * scale, "text-anchor": "start" }
      : { x: middle.x, y: box.y + (upright ? 13 : 20) * scale, "text-anchor": "middle" };
    const title = svg("g", { role: "button" }, svg("title", {}, `${block.name}: ${block.kind}`));
    title.append(
      svg("text", { ...at, class: "name", "font-size": 14 * scale }, shortened(block.name, room)),
      svg("text", { ...at, ...(upright ? { dy: 13 * scale } : { dy: 16 * scale }), class: "kind", "font-size": 11.5 * scale }, shortened(block.kind, Math.floor(room * 1.25))),
    );
    const item = { kind: "block", block, key: `block:${block.name}`, lens, box };
    this.layers.marks.append(this.add(item, title, at.x, at.y));
    if (block === this.story.loss) this.drawLoss(block, middle);
    else this.unitsOf(block).forEach((index, i) => this.drawUnit(block, index, units[i]));
    this.drawOther(block, box, middle, aside);
  }

  /** Give the place of a block: all of its column where it is alone there. */
  boxOf(block, alone) {
    const { scale, upright, radius } = this;
    const { x, y } = this.centre(block);
    const half = ((this.places.get(block.name).length - 1) * this.space) / 2 + radius;
    if (!upright) {
      const [left, width] = [x - this.gap * 0.46, this.gap * 0.92];
      if (alone) return { x: left, y: 2, width, height: this.height - 4 };
      return { x: left, y: y - half - 50 * scale, width, height: 2 * half + 82 * scale };
    }
    const high = Math.max(radius + 9 * scale, 30 * scale);
    if (alone) return { x: 2, y: y - high, width: this.width - 4, height: 2 * high };
    return { x: x - half - 6, y: y - radius - 36 * scale, width: 2 * half + 12, height: 2 * radius + 58 * scale };
  }

  drawLoss(block, { x, y }) {
    const r = Math.max(this.radius, 22 * this.scale);
    const item = this.items.get(`block:${block.name}`);
    item.shape = svg("rect", { class: "shape", x: x - r, y: y - r * 0.8, width: 2 * r, height: 1.6 * r, rx: r * 0.3 });
    item.value = svg("text", { class: "value", x, y, "font-size": Math.max(11 * this.scale, this.font()), dy: "0.35em" });
    item.mark = svg("path", { class: "mark" });
    Object.assign(item, { x, y, radius: r });
    item.element.prepend(item.shape, item.value, item.mark);
  }

  font() {
    return Math.min(13.5 * this.scale, this.radius * 0.5);
  }

  drawUnit(block, index, { x, y }) {
    const { radius: r, scale } = this;
    const key = `unit:${block.name}[${index.join(",")}]`;
    const shape = svg("circle", { class: "shape", cx: x, cy: y, r });
    const value = svg("text", { class: "value", x, y, dy: "0.35em", "font-size": Math.max(9.5, this.font()) });
    const mark = svg("path", { class: "mark" });
    const element = svg("g", { role: "button" }, shape, value, mark);
    const symbol = this.story.symbol(block.nodes.at(-1), index);
    const inside = this.upright && r > 24 * scale;
    let low = 0;
    if (symbol && (inside || (!this.upright && r > 15 * scale))) {
      const at = inside ? { y: y - r * 0.3, "font-size": 10.5 * scale } : { y: y - r - 5 * scale, "font-size": 12.5 * scale };
      element.append(svg("text", { class: "symbol", x, ...at }, shortened(symbol, inside ? 7 : 12)));
      if (inside) value.setAttribute("y", y + r * 0.18);
      low = inside ? r * 0.25 : 0;
    }
    const node = block.nodes.at(-1);
    const item = { kind: "unit", block, name: node, index, key, shape, value, mark, radius: r, marked: { x, y: y + low } };
    this.layers.units.append(this.add(item, element, x, y));
  }

  /** Draw what is neither a unit nor a line: biases, and the weights of layers that aren't dense. */
  drawOther(block, box, middle, aside) {
    const { scale } = this;
    const frame = this.story.frames[0];
    const squares = block.weights
      .filter((name) => name !== this.kernelOf(block))
      .flatMap((name) => {
        const shape = this.story.quantity(frame, "before", name)?.shape ?? [];
        return indices(shape).map((index) => ({ name, index }));
      });
    const room = aside ? 88 * scale : box.width * 0.94;
    const pitch = Math.min(42 * scale, room / Math.max(1, squares.length));
    const side = Math.min(16 * scale, pitch * 0.8);
    squares.forEach(({ name, index }, i) => {
      const x = aside
        ? box.x + 6 * scale + (i + 0.5) * pitch - (pitch - side) / 2
        : middle.x + (i - (squares.length - 1) / 2) * pitch;
      const y = aside ? middle.y + 22 * scale : box.y + box.height - 14 * scale;
      const key = `weight:${name}[${index.join(",")}]`;
      const shape = svg("rect", { class: "shape", x: x - side / 2, y: y - side / 2, width: side, height: side });
      const mark = svg("path", { class: "mark" });
      const element = svg("g", { role: "button" }, shape, mark);
      const symbol = this.story.symbol(name, index);
      if (symbol && pitch > 24 * scale) {
        const beside = { x: x + side * 0.65, y: y + 4 * scale, "text-anchor": "start" };
        const place = aside ? beside : { x, y: y - side * 0.8 };
        element.append(svg("text", { class: "symbol", "font-size": 11.5 * scale, ...place }, symbol));
      }
      const item = { kind: "weight", square: true, block, name, index, key, shape, mark, radius: side / 2 };
      this.layers.units.append(this.add(item, element, x, y));
    });
  }

  /** Name the kernel of a dense block all of whose lines can be drawn. */
  kernelOf(block) {
    if (!block.kind.startsWith("Dense") || block.inputs.length !== 1) return undefined;
    const before = this.story.blocks.find((one) => one.name === block.inputs[0]);
    const sizes = [this.unitsOf(before).length, this.unitsOf(block).length].join();
    return block.weights.find(
      (name) => this.story.quantity(this.story.frames[0], "before", name)?.shape.join() === sizes,
    );
  }

  drawEdges(block) {
    const kernel = this.kernelOf(block);
    const ends = this.places.get(block.name);
    for (const name of block.inputs) {
      const source = this.story.blocks.find((one) => one.name === name);
      const starts = this.places.get(name);
      const edge = { from: source, to: block };
      if (kernel) this.drawLines(edge, kernel, starts, ends);
      else if (starts.length === ends.length) starts.forEach((start, i) => this.drawLink(edge, start, ends[i]));
      else if (ends.length === 1) starts.forEach((start) => this.drawLink(edge, start, ends[0]));
      else this.drawLink(edge, this.centre(source), this.centre(block), "broad");
      this.drawArrow(edge);
    }
  }

  line(start, end, share = 0.6) {
    const x = start.x + (end.x - start.x) * share;
    const y = start.y + (end.y - start.y) * share;
    return `M${start.x} ${start.y} L${x} ${y} L${end.x} ${end.y}`;
  }

  drawLink(edge, start, end, more = "") {
    const path = svg("path", { class: `link ${more}`, d: this.line(start, end) });
    this.layers.edges.append(path);
    this.edges.push({ ...edge, path });
  }

  drawLines(edge, kernel, starts, ends) {
    const { scale } = this;
    const share = 1 / (ends.length + 1); // so no two labels of equally spaced units meet
    const apart = this.space * Math.min(share, 1 - share);
    const labelled = apart > (this.upright ? 30 : 20) * scale;
    const few = starts.length * ends.length <= 24;
    starts.forEach((start, i) =>
      ends.forEach((end, j) => {
        const key = `weight:${kernel}[${i},${j}]`;
        const d = this.line(start, end);
        const shape = svg("path", { class: "shape", d });
        const element = svg("g", { role: "button" }, svg("path", { class: "reach", d }), shape);
        const { x, y, label } = this.label(start, end, share);
        if (labelled) element.append(label);
        const mark = svg("path", { class: "mark" });
        element.append(mark);
        const item = { kind: "weight", block: edge.to, name: kernel, index: [i, j], key, shape, mark };
        const marked = { x: start.x + (end.x - start.x) * 0.74, y: start.y + (end.y - start.y) * 0.74 };
        const more = { line: { start, end }, marked, radius: 8 * scale, ...(labelled ? { label } : {}) };
        this.layers.edges.append(this.add({ ...item, ...more }, element, x, y));
        this.edges.push({ ...edge, path: shape, few });
      }),
    );
  }

  /** Write a label along its line, and above it; upright where the line is too steep to read. */
  label(start, end, share) {
    const [dx, dy] = [end.x - start.x, end.y - start.y];
    const bare = this.radius / Math.hypot(dx, dy);
    const along = bare + share * (1 - 2 * bare);
    const [x, y] = [start.x + dx * along, start.y + dy * along];
    const high = this.upright || steep(dx, dy);
    const turn = high ? "" : `rotate(${(Math.atan(dy / dx) * 180) / Math.PI} ${x} ${y})`;
    const place = { x, y: high ? y : y - 7 * this.scale, dy: high ? "0.35em" : 0, transform: turn };
    return { x, y, label: svg("text", { class: "label", "font-size": 12 * this.scale, ...place }) };
  }

  /** Give the outline about a thing that is first wrong: a ring, or a frame about a line. */
  around({ x, y, box, line, radius }) {
    const r = radius + 6 * this.scale;
    if (!radius) return `M${box.x} ${box.y} h${box.width} v${box.height} h${-box.width} z`;
    if (!line) return `M${x - r} ${y} a${r} ${r} 0 1 0 ${2 * r} 0 a${r} ${r} 0 1 0 ${-2 * r} 0`;
    const [dx, dy] = [line.end.x - line.start.x, line.end.y - line.start.y];
    const length = Math.hypot(dx, dy) * Math.sign(dx || 1);
    const off = (this.radius + 7 * this.scale) / Math.abs(length);
    const [above, below] = this.upright || steep(dx, dy) ? [13, 13] : [24, 10]; // its label stands within
    const point = (share, side) =>
      `${line.start.x + dx * share - (dy / length) * side * this.scale} ${line.start.y + dy * share + (dx / length) * side * this.scale}`;
    return `M${point(off, below)} L${point(1 - off, below)} L${point(1 - off, -above)} L${point(off, -above)} z`;
  }

  /** Say where the label of what is first wrong stands. */
  beside({ x, y, box, line, radius }) {
    const { scale } = this;
    if (!radius) return { x: x + (this.upright ? 40 * scale : 0), y: box.y + 40 * scale };
    if (line) {
      const middle = { x: (line.start.x + line.end.x) / 2, y: (line.start.y + line.end.y) / 2 };
      return this.upright ? { x: middle.x - 68 * scale, y: middle.y } : { x: middle.x, y: middle.y - 42 * scale };
    }
    if (radius < 18 * scale) return { x: x + radius + 60 * scale, y };
    return { x, y: y - radius - (this.upright ? 14 : 30) * scale };
  }

  drawArrow(edge) {
    const { scale, upright } = this;
    const [from, to] = [this.centre(edge.from), this.centre(edge.to)];
    const short = 0.36 * this.gap;
    const lane = upright ? { x: this.width - 12 * scale } : { y: 52 * scale };
    const start = upright ? { ...lane, y: from.y + short } : { ...lane, x: from.x + short };
    const end = upright ? { ...lane, y: to.y - short } : { ...lane, x: to.x - short };
    const path = svg("path", { class: "arrow", d: `M${start.x} ${start.y} L${end.x} ${end.y}` });
    this.layers.marks.append(path);
    this.edges.push({ ...edge, path });
  }
}
