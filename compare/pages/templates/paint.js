// Colours, thickness and marks of a small network, as they stand at a stage of a step.

class Painter {
  constructor(story, network) {
    Object.assign(this, { story, network, items: [...network.items.values()] });
    this.ring = svg("path", { class: "ring" });
    network.root.append(this.ring);
    this.flag = null;
  }

  paint(view) {
    const { story } = this;
    const stage = story.stages[view.stage];
    const frame = story.frames[view.frame];
    const largest = this.scales(frame, view);
    for (const item of this.items) {
      const current = item.block === stage.block || stage.kind === "update";
      if (item.kind === "unit") this.paintUnit(item, frame, view, largest);
      else if (item.kind === "weight") this.paintWeight(item, frame, view, largest);
      else this.paintBlock(item, frame, view);
      item.lens?.classList.toggle("current", item.block === stage.block);
      item.element.classList.toggle("current", current);
    }
    this.paintFlow(stage);
    this.paintFirst(frame);
    return largest;
  }

  /** Give the number that a thing shows in this colouring, or null where it isn't known yet. */
  shown(item, frame, view) {
    const candidates = this.candidates(item, view);
    for (const [phase, name, index] of candidates) {
      if (this.story.known(phase, name) > view.stage) continue;
      const found = this.story.look(frame, { phase, name, index });
      if (found) return found.keras;
    }
    return null;
  }

  /** Say whether a thing gets a colour at any stage of a step. */
  ever(item, frame, view) {
    if (view.mode === "verdict") return this.story.wrong(frame, item, view.sample, Infinity) !== null;
    return this.shown(item, frame, { ...view, stage: Infinity }) !== null;
  }

  candidates(item, view) {
    const gradient = view.mode === "gradient";
    if (item.kind === "weight") {
      if (gradient) return [["weight gradient", item.name, item.index]];
      return [["weight", item.name, item.index], ["before", item.name, item.index]];
    }
    if (item.kind === "block") return gradient ? [] : [["loss", "total", []]];
    const index = [view.sample, ...item.index];
    if (gradient) return item.block.nodes.toReversed().map((node) => ["activation gradient", node, index]);
    if (item.block.kind !== "input") return [["activation", item.name, index]];
    return [["input", this.story.inputNames()[this.story.inputs.indexOf(item.block)], index]];
  }

  // Of the whole step, whatever is reached: a colour means one number from its first stage to its last.
  scales(frame, view) {
    const all = { ...view, stage: Infinity };
    const of = (kind) =>
      largestOf(this.items.filter((one) => one.kind === kind).map((one) => this.shown(one, frame, all)));
    return { unit: of("unit"), weight: of("weight") };
  }

  paintUnit(item, frame, view, largest) {
    const value = this.shown(item, frame, view);
    const verdict = this.paintVerdict(item, frame, view);
    const known = view.mode === "verdict" ? verdict !== null : value !== null;
    item.element.classList.toggle("later", !known);
    item.element.classList.toggle("never", !known && !this.ever(item, frame, view));
    if (view.mode === "verdict") item.shape.style.fill = "";
    else item.shape.style.fill = value === null ? "" : colourOf(value, largest.unit);
    const roomy = item.radius >= 18 * this.network.scale;
    const sign = real(value) < 0 ? "−" : real(value) > 0 ? "+" : "0";
    const text = value === null || view.mode === "verdict" ? "" : roomy ? brief(value) : sign;
    if (item.value.textContent !== text) item.value.textContent = text;
    this.name(item, value, verdict);
  }

  paintWeight(item, frame, view, largest) {
    const value = this.shown(item, frame, view);
    const verdict = this.paintVerdict(item, frame, view);
    item.element.classList.toggle("later", value === null);
    item.element.classList.toggle("minus", real(value) < 0);
    if (item.line) {
      const thick = Math.min(6, (0.07 * this.network.space) / this.network.scale);
      const share = largest.weight > 0 && value !== null ? Math.abs(real(value)) / largest.weight : 0;
      const width = view.mode === "verdict" ? (verdict ? 4 : 2) : 1 + thick * (Number.isFinite(share) ? share : 1);
      item.shape.style.strokeWidth = `${width * this.network.scale}px`;
      const symbol = this.story.symbol(item.name, item.index);
      const text = [symbol, value === null ? "" : brief(value)].filter(Boolean).join(" ");
      const long = this.network.upright || text.length * 6.6 * this.network.scale > this.room(item.line);
      const told = symbol && long ? symbol : text;
      if (item.label && item.label.textContent !== told) item.label.textContent = told;
    } else if (view.mode === "verdict") item.shape.style.fill = "";
    else item.shape.style.fill = value === null ? "" : colourOf(value, largest.weight);
    this.name(item, value, verdict);
  }

  /** Give the length that a label may have, so that those of crossing lines don't meet. */
  room({ start, end }) {
    const share = start.y === end.y ? 0.85 : 0.5;
    return share * (Math.hypot(end.x - start.x, end.y - start.y) - 2 * this.network.radius);
  }

  paintBlock(item, frame, view) {
    const verdict = this.story.wrong(frame, item, view.sample, view.stage);
    item.element.classList.toggle("differs", verdict === true);
    const value = item.value ? this.shown(item, frame, view) : null;
    if (item.value) {
      item.element.classList.toggle("later", value === null && view.mode !== "gradient");
      item.value.textContent = value === null || view.mode === "verdict" ? "" : brief(value);
      this.paintVerdict(item, frame, view);
    }
    this.name(item, value, verdict);
  }

  paintVerdict(item, frame, view) {
    const verdict = this.story.wrong(frame, item, view.sample, view.stage);
    const marked = view.mode === "verdict" && verdict !== null;
    item.element.classList.toggle("differs", verdict === true);
    item.element.classList.toggle("agrees", marked && !verdict);
    const drawn = marked && (!item.line || verdict);
    const size = Math.min(item.radius * 0.55, 12 * this.network.scale);
    const { x, y } = item.marked ?? item;
    item.mark.setAttribute("d", drawn ? markOf(verdict, x, y, size) : "");
    return verdict;
  }

  name(item, value, verdict) {
    const symbol = item.kind === "block" ? item.block.kind : this.story.symbol(item.name, item.index);
    const place = item.kind === "block" ? item.block.name : `${item.name}[${item.index.join(",")}]`;
    const number = value === null ? "" : `: ${tenDigits(value)}`;
    const judged = verdict === null ? "" : verdict ? ", differs" : ", agrees";
    const first = item.key === this.firstKey() ? ", first wrong" : "";
    replaced(item.element, "aria-label", `${symbol ? `${symbol}, ` : ""}${place}${number}${judged}${first}`);
  }

  paintFlow(stage) {
    const flows = ["forward", "loss", "backward"].includes(stage.kind);
    for (const edge of this.network.edges) {
      const here = flows && edge.to === stage.block;
      const few = edge.few !== false;
      edge.path.classList.toggle("ahead", here && few && stage.kind !== "backward");
      edge.path.classList.toggle("back", here && few && stage.kind === "backward");
    }
  }

  firstKey() {
    const { first } = this.story;
    return first ? this.story.keyOf(first.phase, first.name, first.verdict.index) : null;
  }

  paintFirst(frame) {
    const { story, network } = this;
    if (!story.first) return;
    const item = network.items.get(this.firstKey()) ?? network.items.get(`block:${story.owner(story.first.phase, story.first.name)?.name}`);
    if (!item) return;
    item.element.classList.add("first-wrong");
    this.ring.setAttribute("d", network.around(item));
    this.flag?.remove();
    const text = flagText(story, frame);
    const half = text.length * 4.6 * network.scale;
    const at = network.beside(item);
    const middle = Math.min(Math.max(at.x, half), network.size.width - half);
    this.flag = flag(middle, at.y, text, network.scale);
    network.root.append(this.flag);
  }
}
